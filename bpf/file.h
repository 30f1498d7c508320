/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Files: where one comes from, what it is called, and whether it is recalled. The verdict is always
 * about struct file, never about a path that a process named: there is nothing to race.
 */
#ifndef HULLMARK_FILE_H
#define HULLMARK_FILE_H

#include "event.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define S_IFMT 0170000
#define S_IFREG 0100000
#define FMODE_WRITE 2

/*
 * where is what is known of a file. The first part is what filters look at, the second is read only
 * for files that pass them, or where some are recalled.
 */
struct where {
	struct dentry *dentry, *upper;
	struct inode *inode;
	struct super_block *sb;
	void *stack; /* of an overlay's file, see has_lower */
	u16 mode;
	u8 origin;

	u8 flags;
	u16 layer;
	u32 dev, real_dev, lower_dev;
	u64 number, real_inode, lower_inode;
};

INLINE void number_of(struct dentry *dentry, u64 *number, u32 *dev)
{
	struct inode *inode = READ(dentry, d_inode);
	struct super_block *sb = READ(inode, i_sb);
	*number = READ(inode, i_ino);
	*dev = READ(sb, s_dev);
}

/*
 * has_lower tells whether any layer has the file, in each layout that kernels have had. *stack is where
 * first_lower finds the first of them.
 */
INLINE int has_lower(struct ovl_inode *ovl, struct dentry *dentry, void **stack)
{
	if (HAS_FIELD(struct ovl_inode, oe)) {
		struct ovl_entry *oe = READ(ovl, oe);
		*stack = oe;
		return READ(oe, __numlower) != 0;
	}
	if (HAS_FIELD(struct ovl_inode___mid, lowerpath)) {
		struct ovl_inode___mid *mid = (void *)ovl;
		*stack = mid;
		return READ(mid, lowerpath.dentry) != 0;
	}
	if (HAS_FIELD(struct ovl_entry___old, lowerstack)) {
		struct ovl_entry___old *oe = READ(dentry, d_fsdata);
		*stack = oe;
		return READ(oe, numlower) != 0;
	}
	return 0;
}

INLINE struct dentry *first_lower(void *stack, struct ovl_layer **layer)
{
	if (HAS_FIELD(struct ovl_inode, oe)) {
		struct ovl_entry *oe = stack;
		*layer = READ(oe, __lowerstack[0].layer);
		return READ(oe, __lowerstack[0].dentry);
	}
	if (HAS_FIELD(struct ovl_inode___mid, lowerpath)) {
		struct ovl_inode___mid *mid = stack;
		*layer = READ(mid, lowerpath.layer);
		return READ(mid, lowerpath.dentry);
	}
	if (HAS_FIELD(struct ovl_entry___old, lowerstack)) {
		struct ovl_entry___old *oe = stack;
		*layer = READ(oe, lowerstack[0].layer);
		return READ(oe, lowerstack[0].dentry);
	}
	return 0;
}

INLINE void locate_overlay(struct where *w)
{
	if (!HAS_TYPE(struct ovl_inode)) {
		w->origin = ORIGIN_UNKNOWN;
		return;
	}
	struct ovl_inode *ovl = (void *)w->inode - OFFSET(struct ovl_inode, vfs_inode);
	w->upper = READ(ovl, __upperdentry);
	if (has_lower(ovl, w->dentry, &w->stack))
		w->origin = w->upper ? ORIGIN_COPIED_UP : ORIGIN_LOWER;
	else
		w->origin = w->upper ? ORIGIN_UPPER : ORIGIN_UNKNOWN;
}

INLINE int is_memfd(struct where *w)
{
	char start[8] = {};
	const unsigned char *text = READ(w->dentry, d_name.name);
	bpf_probe_read_kernel(start, 6, text);
	return READ(w->inode, i_nlink) == 0 && *(u64 *)start == 0x3a64666d656dULL; /* "memfd:" */
}

/* locate finds where a file comes from; it fails for what is not a regular file. */
INLINE int locate(struct file *file, struct where *w)
{
	__builtin_memset(w, 0, sizeof(*w));
	w->inode = READ(file, f_inode);
	w->mode = READ(w->inode, i_mode);
	if ((w->mode & S_IFMT) != S_IFREG)
		return -1;
	w->dentry = READ(file, f_path.dentry);
	w->sb = READ(w->inode, i_sb);
	w->origin = ORIGIN_HOST;
	unsigned long magic = READ(w->sb, s_magic);
	if (magic == OVERLAYFS_MAGIC)
		locate_overlay(w);
	else if ((magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC) && is_memfd(w))
		w->origin = ORIGIN_MEMFD;
	return 0;
}

/* identify reads the rest. */
INLINE void identify(struct file *file, struct where *w)
{
	w->dev = READ(w->sb, s_dev);
	w->number = READ(w->inode, i_ino);
	w->real_dev = w->dev;
	w->real_inode = w->number;
	if (READ(w->inode, i_nlink) == 0)
		w->flags |= DELETED;
	if (READ(file, f_mode) & FMODE_WRITE)
		w->flags |= WRITABLE;
	if (w->origin == ORIGIN_LOWER || w->origin == ORIGIN_COPIED_UP) {
		struct ovl_layer *layer = 0;
		struct dentry *below = first_lower(w->stack, &layer);
		w->layer = READ(layer, idx);
		number_of(below, &w->lower_inode, &w->lower_dev);
		w->real_inode = w->lower_inode;
		w->real_dev = w->lower_dev;
	}
	if (w->upper)
		number_of(w->upper, &w->real_inode, &w->real_dev);
}

INLINE void describe(struct head *h, struct where *w)
{
	h->origin = w->origin;
	h->flags |= w->flags;
	h->layer = w->layer;
	h->inode = w->number;
	h->dev = w->dev;
	h->real_inode = w->real_inode;
	h->real_dev = w->real_dev;
}

/* any_recalled tells whether there is anything to look for. */
INLINE int any_recalled(void)
{
	u32 zero = 0;
	struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	return s && s->blocked;
}

/* Who uses MARKED content is tainted; BLOCKED content is stopped where the cgroup says so, too. */
enum { MARKED = 1, BLOCKED = 2 };

/*
 * recalled tells what is held against the content. A file that was copied up still counts as the file
 * below it: a changed mode must not let a recalled file through.
 */
INLINE u8 recalled(struct where *w)
{
	struct file_id id = {.inode = w->real_inode, .dev = w->real_dev};
	u8 *held = bpf_map_lookup_elem(&blocked, &id);
	if (held)
		return *held;
	if (w->origin != ORIGIN_COPIED_UP)
		return 0;
	id.inode = w->lower_inode;
	id.dev = w->lower_dev;
	held = bpf_map_lookup_elem(&blocked, &id);
	return held ? *held : 0;
}

INLINE int on_overlay(struct where *w)
{
	return w->origin == ORIGIN_LOWER || w->origin == ORIGIN_COPIED_UP || w->origin == ORIGIN_UPPER;
}

struct walk {
	struct dentry *dentry, *root;
	struct vfsmount *mount, *root_mount;
};

#define DEPTH 48

/*
 * spell writes the path of w->dentry backwards into path and returns where it begins. With a mount it
 * goes on through the mounts up to the process's root, without it ends where the file system does: for
 * an image's file that is the path in the image.
 */
NOINLINE u32 spell(char *path, struct walk *w)
{
	u64 at = PATH - 1;
	struct dentry *dentry = w->dentry;
	struct vfsmount *mount = w->mount;

	for (int i = 0; i < DEPTH; i++) {
		struct dentry *parent = READ(dentry, d_parent);
		if (mount) {
			if (dentry == w->root && mount == w->root_mount)
				break;
			if (dentry == READ(mount, mnt_root) || dentry == parent) {
				struct mount *m = (void *)mount - OFFSET(struct mount, mnt);
				struct mount *up = READ(m, mnt_parent);
				if (up == m)
					break;
				dentry = READ(m, mnt_mountpoint);
				mount = (void *)up + OFFSET(struct mount, mnt);
				continue;
			}
		} else if (dentry == parent) {
			break;
		}
		u64 length = READ(dentry, d_name.len);
		const unsigned char *text = READ(dentry, d_name.name);
		BOUND(length, 255);
		if (length == 0 || at < length + 2)
			break;
		at -= length;
		BOUND(at, 1023);
		bpf_probe_read_kernel(&path[at], length, text);
		at--;
		BOUND(at, 1023);
		path[at] = '/';
		dentry = parent;
	}
	return at;
}

INLINE u64 spell_path(char *path, struct task_struct *task, struct dentry *dentry, struct vfsmount *mount)
{
	struct walk w = {.dentry = dentry, .mount = mount};
	if (mount) {
		struct fs_struct *fs = READ(task, fs);
		w.root = READ(fs, root.dentry);
		w.root_mount = READ(fs, root.mnt);
	}
	return spell(path, &w);
}

/* name puts the path of a dentry, and of a mount if any, at the start of the event's strings. */
INLINE void name(struct scratch *s, struct task_struct *task, struct dentry *dentry, struct vfsmount *mount)
{
	u64 at = spell_path(s->path, task, dentry, mount);
	BOUND(at, 1023);
	u64 length = PATH - 1 - at;
	BOUND(length, 1023);
	bpf_probe_read_kernel(s->event.data, length, &s->path[at]);
	s->event.head.path_len = length;
}

INLINE void name_file(struct scratch *s, struct task_struct *task, struct file *file, struct where *w)
{
	if (w->origin == ORIGIN_MEMFD)
		return;
	name(s, task, w->dentry, on_overlay(w) ? 0 : READ(file, f_path.mnt));
}

/* label is what is looked up about a file's name: two hashes, of at most its last 15 bytes. */
struct label {
	u64 suffix; /* what follows the last dot, packed; LIBRARY for a shared one, which may go on with versions */
	u64 name;   /* of all of it, and its length */
};

#define TAIL 15
#define LIBRARY ~0ULL
#define SO 0x736f

/* The head of struct qstr on little-endian machines, which has not changed since it got one. */
struct qstr_head {
	u64 hash_len;
	const unsigned char *text;
};

INLINE struct qstr_head *name_of(struct dentry *dentry)
{
	return (void *)dentry + OFFSET(struct dentry, d_name);
}

/* hash_len is the kernel's own hash of the whole name, salted with the folder's address, and its length. */
INLINE u64 hash_len(struct dentry *dentry)
{
	return READ(name_of(dentry), hash_len);
}

INLINE void read_label(struct dentry *dentry, struct label *l)
{
	char tail[TAIL + 1] = {};
	const unsigned char *text = READ(name_of(dentry), text);
	u64 whole = hash_len(dentry) >> 32;
	u64 skip = whole > TAIL ? whole - TAIL : 0;
	u64 length = whole - skip, hash = 5381, packed = 0;
	int dotted = 0;
	BOUND(length, 15);
	bpf_probe_read_kernel(tail, length, text + skip);
#pragma unroll
	for (int i = 0; i < TAIL; i++) {
		u64 c = (u8)tail[i];
		hash = hash * 33 + c;
		if (c == '.') {
			if (dotted && packed == SO)
				dotted = 2;
			dotted |= 1;
			packed = 0;
		} else if (c) {
			packed = packed << 8 | c;
		}
	}
	l->name = hash ^ whole << 56;
	l->suffix = !dotted ? 0 : dotted & 2 || packed == SO ? LIBRARY : packed;
}

INLINE int is_code(struct label *l)
{
	if (l->suffix == LIBRARY)
		return 1;
	return l->suffix && bpf_map_lookup_elem(&suffixes, &l->suffix);
}

enum { NAMED_FILE = 1, NAMED_FOLDER = 2, NAMED_INTERPRETER = 4 };

INLINE u8 named(struct label *l)
{
	u8 *mask = bpf_map_lookup_elem(&names, &l->name);
	return mask ? *mask : 0;
}

/* What a name means. Whether a file is sensitive is only half answered by it; user space has the patterns. */
enum { IS_CODE = 1, IS_SENSITIVE = 2, IS_INTERPRETER = 4, IS_KNOWN = 8, MEANING = 15 };

/* judge is a function of its own to the verifier: else it would follow every way through both names in every caller. */
GLOBAL u32 judge(u64 dentry, u64 parent)
{
	struct label file, folder;
	read_label((void *)dentry, &file);
	read_label((void *)parent, &folder);
	u8 as = named(&file);
	return (is_code(&file) ? IS_CODE : 0) | (as & NAMED_INTERPRETER ? IS_INTERPRETER : 0) |
	       (as & NAMED_FILE || named(&folder) & NAMED_FOLDER ? IS_SENSITIVE : 0);
}

/* version of a dentry's name and folder: odd while they change, and another one after it. */
INLINE u32 version(struct dentry *dentry)
{
	return READ(dentry, d_seq.sequence);
}

/* may_remember is no where case does not count: names that mean different things may have one hash. */
INLINE int may_remember(struct dentry *dentry)
{
	if (!HAS_FIELD(struct super_block, s_encoding))
		return 1;
	struct super_block *sb = READ(dentry, d_sb);
	return READ(sb, s_encoding) == 0;
}

/*
 * known_as tells what the names of a file and of its folder mean. It is remembered: to look at the names
 * takes longer than all the rest of an open. What is remembered is found by the dentry and by the hashes
 * of both names, so that a renamed file, and another one at the same address, are looked at anew; and
 * nothing is remembered of names that changed meanwhile.
 */
INLINE u8 known_as(struct dentry *dentry)
{
	struct dentry *parent = READ(dentry, d_parent);
	u64 name = hash_len(dentry), folder = hash_len(parent);
	u64 mark = (u64)dentry * 0x9e3779b97f4a7c15ULL ^ name;
	mark = (mark ^ mark >> 29) * 0xbf58476d1ce4e5b9ULL ^ folder;
	mark = (mark ^ mark >> 32) * 0x94d049bb133111ebULL;
	u32 slot = mark >> (64 - MEANING_BITS);
	mark &= ~(u64)MEANING;
	u64 *remembered = bpf_map_lookup_elem(&meanings, &slot);
	u64 found = remembered ? *(volatile u64 *)remembered : 0;
	if ((found & ~(u64)MEANING) == mark && found & IS_KNOWN)
		return found & MEANING;
	u32 before = version(dentry), before_folder = version(parent);
	u8 meaning = judge((u64)dentry, (u64)parent);
	if (remembered && may_remember(dentry) && !((before | before_folder) & 1) &&
	    name == hash_len(dentry) && folder == hash_len(parent) && parent == READ(dentry, d_parent) &&
	    before == version(dentry) && before_folder == version(parent))
		*(volatile u64 *)remembered = mark | meaning | IS_KNOWN;
	return meaning;
}

INLINE int is_interpreter(struct task_struct *task)
{
	struct mm_struct *mm = READ(task, mm);
	struct file *exe = READ(mm, exe_file);
	return known_as(READ(exe, f_path.dentry)) & IS_INTERPRETER;
}

#define TAIL_OF_NAME 31

/* name_hash is of what follows the last slash in the at most 31 bytes of kernel memory at text. */
INLINE u64 name_hash(const void *text, u64 length)
{
	char tail[TAIL_OF_NAME + 1] = {};
	u64 hash = 5381;
	BOUND(length, 31);
	bpf_probe_read_kernel(tail, length, text);
#pragma unroll
	for (int i = 0; i < TAIL_OF_NAME; i++) {
		if (tail[i] == '/')
			hash = 5381;
		else if (tail[i])
			hash = hash * 33 + (u8)tail[i];
	}
	return hash;
}

/* slots_of is the table of descriptors; typed pointers, where there are, are read without a call. */
INLINE struct file **slots_of(struct task_struct *task, u32 *count)
{
	if (HAS_HELPER(BPF_FUNC_get_current_task_btf)) {
		struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
		*count = table->max_fds;
		return table->fd;
	}
	struct files_struct *files = READ(task, files);
	struct fdtable *table = READ(files, fdt);
	*count = READ(table, max_fds);
	return READ(table, fd);
}

struct descriptor {
	struct file *file;
};

/* file_of is the file of a descriptor of the current task. */
INLINE struct file *file_of(struct task_struct *task, u32 fd)
{
	u32 count = 0;
	struct descriptor *slots = (void *)slots_of(task, &count);
	return fd < count ? READ(&slots[fd], file) : 0;
}

#endif
