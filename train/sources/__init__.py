"""Where images and labels come from: arrays in a file, IDX files, folders of images, and data sets with a name."""
