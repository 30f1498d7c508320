package kernel

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CgroupRoot returns where the cgroup v2 tree is mounted: on hybrid machines that is not /sys/fs/cgroup.
func CgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("kernel: find cgroup v2: %w", err)
	}
	defer f.Close()
	at, err := cgroupMount(f)
	if err != nil {
		return "", err
	}
	return at, nil
}

func cgroupMount(mountinfo io.Reader) (string, error) {
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(fields) >= 5 && fields[3] == "/" {
			return unescape(fields[4]), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("kernel: find cgroup v2: %w", err)
	}
	return "", fmt.Errorf("kernel: no cgroup v2 tree is mounted")
}

// unescape undoes what mountinfo does to blanks in paths.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// CgroupID returns the number by which the kernel and [Event] know a cgroup's folder.
func CgroupID(folder string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(folder, &st); err != nil {
		return 0, fmt.Errorf("kernel: cgroup %s: %w", folder, err)
	}
	return st.Ino, nil
}
