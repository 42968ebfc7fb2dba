/* A plugin for QEMU (plugin API 1, as in QEMU 4 to 8) that counts the instructions an emulated program executes.
 *     cc -O2 -shared -fPIC -o instructions.so instructions.c
 *     qemu-aarch64 -plugin instructions.so,out=FILE PROGRAM
 * Each time the program calls getsid(), which nothing does by chance and which changes nothing, FILE gets a line: how
 * many were executed so far, by all threads. The declarations are those of qemu-plugin.h, which Debian does not package.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct qemu_plugin_tb;
struct info { const char *target; };
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*called)(uint64_t id, unsigned cpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated callback);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, called callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int add, void *counter, uint64_t amount);

int qemu_plugin_version = 1;

static const struct { const char *target; int64_t number; } getsid[] = {{"aarch64", 156}, {"arm", 147}};
static int64_t mark;
static uint64_t executed;
static FILE *out;

static void count(uint64_t id, struct qemu_plugin_tb *block) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &executed, qemu_plugin_tb_n_insns(block));
}

static void note(uint64_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                 uint64_t f, uint64_t g, uint64_t h) {
    if (number == mark) {
        fprintf(out, "%" PRIu64 "\n", executed);
        fflush(out);
    }
}

int qemu_plugin_install(uint64_t id, const struct info *info, int count_of_options, char **options) {
    for (size_t i = 0; i < sizeof getsid / sizeof *getsid; i++)
        if (!strcmp(info->target, getsid[i].target))
            mark = getsid[i].number;
    if (!mark || count_of_options != 1 || strncmp(options[0], "out=", 4) || !(out = fopen(options[0] + 4, "w"))) {
        fprintf(stderr, "instructions: expected the option out=FILE, and an emulated aarch64 or arm\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, count);
    qemu_plugin_register_vcpu_syscall_cb(id, note);
    return 0;
}
