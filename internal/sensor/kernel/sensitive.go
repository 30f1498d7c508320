package kernel

import (
	"fmt"
	"path"
	"strings"

	"github.com/cilium/ebpf"
)

// DefaultSensitive are the files whose opening is told. In a pattern * stands for part of a name and
// ** for any number of folders.
func DefaultSensitive() []string {
	return []string{
		"/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d/*",
		"**/.ssh/*", "**/.aws/*", "**/.gnupg/*", "**/.azure/*", "**/.kube/config", "**/.docker/config.json",
		"**/.npmrc", "**/.pypirc", "**/.netrc", "**/.git-credentials", "**/.gem/credentials", "**/.cargo/credentials.toml",
		"**/gcloud/credentials.db", "**/gcloud/*.json", "**/gh/hosts.yml",
		"**/serviceaccount/**/token", "**/serviceaccount/token", "**/eks.amazonaws.com/**/token",
		"/proc/*/environ", "/proc/*/mem", "/proc/kcore",
	}
}

// The bits of the kernel's map of names; bpf/file.h has the same.
const (
	namedFile uint8 = 1 << iota
	namedFolder
	namedInterpreter
)

// suffixes are what sources that interpreters run, and what they load, are called. Shared libraries
// are known without being listed.
func suffixes() []string {
	return []string{
		"js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "node", "wasm",
		"py", "pyc", "pyz", "whl", "rb", "php", "phar", "pl", "pm", "lua", "tcl",
		"sh", "bash", "zsh", "jar", "war", "class", "jmod", "dll", "exe", "groovy", "ko",
	}
}

func interpreters() []string {
	out := []string{
		"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "node", "nodejs", "deno", "bun",
		"perl", "ruby", "php", "lua", "java", "tclsh", "python", "python2", "python3", "pwsh", "awk", "gawk", "mawk",
	}
	for minor := 6; minor <= 16; minor++ {
		out = append(out, fmt.Sprintf("python3.%d", minor))
	}
	return out
}

// patterns are sensitive paths. The kernel is told only the last name, or the folder, of each: that
// is cheap to look up at every open, and what it lets through is matched here.
type patterns struct {
	split [][]string
}

func newPatterns(all []string) (*patterns, error) {
	p := &patterns{}
	for _, one := range all {
		if _, err := path.Match(one, ""); err != nil {
			return nil, fmt.Errorf("kernel: sensitive path %q: %w", one, err)
		}
		if _, _, ok := kernelName(one); !ok {
			return nil, fmt.Errorf("kernel: sensitive path %q: the last name or its folder has to be without a wildcard", one)
		}
		p.split = append(p.split, strings.Split(strings.TrimPrefix(one, "/"), "/"))
	}
	return p, nil
}

// kernelName returns the name that the kernel looks for, and what it is looked for as.
func kernelName(pattern string) (name string, as uint8, ok bool) {
	dir, file := path.Split(pattern)
	if !strings.ContainsAny(file, "*?[\\") {
		return file, namedFile, file != ""
	}
	folder := path.Base(dir)
	return folder, namedFolder, !strings.ContainsAny(folder, "*?[\\") && len(folder) > 1
}

func (p *patterns) match(name string) bool {
	parts := strings.Split(strings.TrimPrefix(name, "/"), "/")
	for _, pattern := range p.split {
		if matchParts(pattern, parts) {
			return true
		}
	}
	return false
}

func matchParts(pattern, parts []string) bool {
	for i, want := range pattern {
		if want == "**" {
			for skip := 0; skip <= len(parts)-i; skip++ {
				if matchParts(pattern[i+1:], parts[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(parts) {
			return false
		}
		if ok, err := path.Match(want, parts[i]); err != nil || !ok {
			return false
		}
	}
	return len(pattern) == len(parts)
}

// fillNames tells the kernel which names to look closer at.
func fillNames(maps map[string]*ebpf.Map, sensitive []string) error {
	names := map[string]uint8{}
	for _, pattern := range sensitive {
		if name, as, ok := kernelName(pattern); ok {
			names[name] |= as
		}
	}
	for _, name := range interpreters() {
		names[name] |= namedInterpreter
	}
	for name, as := range names {
		if err := maps["names"].Put(nameHash(name), as); err != nil {
			return fmt.Errorf("kernel: name %q: %w", name, err)
		}
	}
	for _, suffix := range suffixes() {
		if err := maps["suffixes"].Put(packed(suffix), uint8(1)); err != nil {
			return fmt.Errorf("kernel: suffix %q: %w", suffix, err)
		}
	}
	return nil
}

// nameHash is a name as bpf/file.h's read_label has it: of its last 15 bytes, and its length.
func nameHash(name string) uint64 {
	var tail [15]byte
	copy(tail[:], name[max(0, len(name)-len(tail)):])
	hash := uint64(5381)
	for _, c := range tail {
		hash = hash*33 + uint64(c)
	}
	return hash ^ uint64(len(name))<<56
}

// packed is a suffix as bpf/file.h's read_label has it.
func packed(suffix string) uint64 {
	var out uint64
	for i := range len(suffix) {
		out = out<<8 | uint64(suffix[i])
	}
	return out
}
