/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel's structures, as far as the sensor reads them. Every access is relocated by field name
 * against the running kernel's BTF, so order and size here mean nothing and padding is left out.
 * A name that ends in ___something is another kernel's layout of the same structure.
 */
#ifndef HULLMARK_KERNEL_H
#define HULLMARK_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef int s32;
typedef long long s64;

#define CORE __attribute__((preserve_access_index))

struct qstr {
	u32 len;
	const unsigned char *name;
} CORE;

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
	void *s_encoding; /* of names whose case does not count */
} CORE;

struct inode {
	u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
} CORE;

struct seqcount {
	u32 sequence;
};

struct dentry {
	struct seqcount d_seq; /* its lock, where it has one, is behind the number */
	struct dentry *d_parent;
	struct qstr d_name;
	struct super_block *d_sb;
	struct inode *d_inode;
	void *d_fsdata;
} CORE;

struct vfsmount {
	struct dentry *mnt_root;
} CORE;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} CORE;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} CORE;

struct file {
	u32 f_mode;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
} CORE;

struct fdtable {
	u32 max_fds;
	struct file **fd;
} CORE;

struct files_struct {
	struct fdtable *fdt;
} CORE;

struct fs_struct {
	struct path root;
	struct path pwd;
} CORE;

struct ns_common {
	u32 inum;
} CORE;

struct mnt_namespace {
	struct ns_common ns;
} CORE;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
} CORE;

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
} CORE;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
} CORE;

struct kuid {
	u32 val;
} CORE;

struct cred {
	struct kuid uid;
} CORE;

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	void *stack;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct cred *cred;
	char comm[16];
} CORE;

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
} CORE;

struct kernfs_node {
	u64 id;
} CORE;

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} CORE;

struct cgroup_root {
	int hierarchy_id;
} CORE;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
} CORE;

struct in6_addr {
	u8 bytes[16];
};

struct sock_common {
	u32 skc_daddr;
	u16 skc_dport;
	u16 skc_family;
	struct in6_addr skc_v6_daddr;
} CORE;

struct sock {
	struct sock_common __sk_common;
} CORE;

struct socket {
	struct sock *sk;
} CORE;

/* Overlay since 6.5: a stack of lower paths behind the inode. */
struct ovl_layer {
	int idx;
} CORE;

struct ovl_path {
	struct ovl_layer *layer;
	struct dentry *dentry;
} CORE;

struct ovl_entry {
	u32 __numlower;
	struct ovl_path __lowerstack[1];
} CORE;

struct ovl_inode {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry *oe;
} CORE;

/* 5.19 to 6.4: the first lower path is in the inode. */
struct ovl_path___mid {
	struct ovl_layer *layer;
	struct dentry *dentry;
} CORE;

struct ovl_inode___mid {
	struct ovl_path___mid lowerpath;
} CORE;

/* Before 5.19: the lower stack hangs on the dentry. */
struct ovl_path___old {
	struct ovl_layer *layer;
	struct dentry *dentry;
} CORE;

struct ovl_entry___old {
	u32 numlower;
	struct ovl_path___old lowerstack[1];
} CORE;

/* The registers at a system call, per architecture. */
struct pt_regs___x86 {
	unsigned long r8, r9, r10, dx, si, di;
} CORE;

struct pt_regs___arm64 {
	unsigned long regs[31];
	unsigned long orig_x0;
} CORE;

struct pt_regs {
	int unused;
} CORE;

enum bpf_func_id {
	BPF_FUNC_get_current_task_btf = 158,
	BPF_FUNC_task_pt_regs = 175,
};

/* The verifier's own list of the functions that it knows; what is called only with them is below. */
enum special_kfunc_type {
	KF_bpf_rdonly_cast = 1,
};

struct timespec64 {
	s64 tv_sec;
} CORE;

/* What a program on a tracepoint of syscalls/sys_exit_* is given. */
struct syscall_exit {
	u64 common;
	s32 nr;
	u32 pad;
	s64 ret;
};

/* uapi/linux/bpf.h: the context of the socket address hooks. */
struct bpf_sock_addr {
	u32 user_family;
	u32 user_ip4;
	u32 user_ip6[4];
	u32 user_port;
	u32 family;
	u32 type;
	u32 protocol;
	u32 msg_src_ip4;
	u32 msg_src_ip6[4];
};

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

/* Helpers by their number in the kernel's interface. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*bpf_get_current_task)(void) = (void *)35;
static u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*bpf_send_signal)(u32 sig) = (void *)109;
static long (*bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static long (*bpf_probe_read_user_str)(void *dst, u32 size, const void *src) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;
static u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_task_pt_regs)(struct task_struct *task) = (void *)175;

extern void *bpf_rdonly_cast(const void *obj, u32 type) __attribute__((section(".ksyms"), weak));

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define GLOBAL __attribute__((noinline))
#define NOINLINE static __attribute__((noinline))
#define MAP(name, map_type, key_type, value_type, entries)          \
	struct {                                                    \
		int(*type)[map_type];                               \
		key_type *key;                                      \
		value_type *value;                                  \
		int(*max_entries)[entries];                         \
	} name SEC(".maps")
#define RING(name, size)                                            \
	struct {                                                    \
		int(*type)[27];                                     \
		int(*max_entries)[size];                            \
	} name SEC(".maps")

#define HASH 1
#define ARRAY 2
#define PERCPU_ARRAY 6
#define LRU_HASH 9

/*
 * READ(p, field) is p->field of a structure in kernel memory; zero where it cannot be read. Since 6.2 it
 * is one load, for which the verifier has to be told a type: any that begins with eight bytes of number
 * will do. Before, it is the call of a helper, which takes five times as long.
 */
#define READ(p, field)                                              \
	({                                                          \
		__typeof__((p)->field) value_;                      \
		_Static_assert(sizeof(value_) <= 8, "one load");    \
		const void *at_ = &(p)->field;                      \
		if (HAS_CAST)                                       \
			value_ = *(volatile __typeof__(value_) *)bpf_rdonly_cast(at_, KERNEL_TYPE(struct timespec64)); \
		else                                                \
			bpf_probe_read_kernel(&value_, sizeof(value_), at_); \
		value_;                                             \
	})
#define HAS_CAST __builtin_preserve_enum_value(*(__typeof__(enum special_kfunc_type) *)KF_bpf_rdonly_cast, 0)
#define KERNEL_TYPE(type) __builtin_btf_type_id(*(type *)0, 1)
#define HAS_FIELD(type, field) __builtin_preserve_field_info(((type *)0)->field, 2)
#define HAS_HELPER(id) __builtin_preserve_enum_value(*(__typeof__(enum bpf_func_id) *)id, 0)
#define OFFSET(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)
#define HAS_TYPE(type) __builtin_preserve_type_info(*(type *)0, 0)
#define TYPE_SIZE(type) __builtin_preserve_type_info(*(type *)0, 1)

/* BOUND keeps clang from proving the mask away, which the verifier then misses. */
#define BOUND(var, mask) asm volatile("%0 &= " #mask : "+r"(var))

#endif
