"""What machines are measured on besides this one: over SSH, over adb, and emulated."""
