/* A plugin for QEMU (plugin API 1, as in QEMU 4 to 8) that prints how many instructions the emulated program executed.
 * cc -O2 -shared -fPIC -o instructions.so instructions.c
 * The declarations are those of qemu-plugin.h, which Debian does not package. */
#include <inttypes.h>
#include <stdio.h>

struct qemu_plugin_tb;
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*exiting)(uint64_t id, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated callback);
void qemu_plugin_register_atexit_cb(uint64_t id, exiting callback, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int add, void *counter, uint64_t amount);

int qemu_plugin_version = 1;
static uint64_t executed;

static void count(uint64_t id, struct qemu_plugin_tb *block) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &executed, qemu_plugin_tb_n_insns(block));
}

static void report(uint64_t id, void *data) { fprintf(stderr, "instructions: %" PRIu64 "\n", executed); }

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, count);
    qemu_plugin_register_atexit_cb(id, report, NULL);
    return 0;
}
