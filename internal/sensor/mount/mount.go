// Package mount reads the kernel's mount tables (/proc/PID/mountinfo) and tells what an overlay is made of.
//
// It exists because the order of an overlay's lower layers, by which the kernel numbers them, is written
// down in the mount options and nowhere else. It mounts nothing, and a line that it cannot read is an
// error, never skipped: a layer that is missing from the list would shift the meaning of all others.
//
// Source: proc(5), "/proc/pid/mountinfo"; Documentation/filesystems/overlayfs.rst, "Multiple lower layers".
package mount

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The limits. A table of a node with thousands of containers has some megabytes; an overlay has at most 500 layers.
const (
	maxTable = 64 << 20
	maxLine  = 1 << 20
)

// Entry is one line of a mount table.
type Entry struct {
	ID     int
	Dev    uint64 // of the superblock, as stat(2) has it in st_dev
	Root   string // of the mount within its file system
	Point  string // where it is mounted, as the process of the table sees it
	Type   string // file system
	Source string
	Super  string // options of the superblock, escaped as the kernel wrote them
}

// Read returns the mount table of a process, as that process sees it. pid 0 is the caller's own.
func Read(proc string, pid int) ([]Entry, error) {
	who := "self"
	if pid != 0 {
		who = strconv.Itoa(pid)
	}
	f, err := os.Open(proc + "/" + who + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(f)
}

// Parse reads a mount table.
func Parse(r io.Reader) ([]Entry, error) {
	limited := &io.LimitedReader{R: r, N: maxTable + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	var out []Entry
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		e, err := parseLine(lines.Text())
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("mount table: longer than %d bytes", maxTable)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("mount table: %w", err)
	}
	return out, nil
}

func parseLine(line string) (Entry, error) {
	before, after, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !ok || len(left) < 6 || len(right) < 3 {
		return Entry{}, fmt.Errorf("mount table: malformed line %.80q", line)
	}
	id, err := strconv.Atoi(left[0])
	if err != nil {
		return Entry{}, fmt.Errorf("mount table: malformed line %.80q", line)
	}
	major, minor, ok := strings.Cut(left[2], ":")
	ma, err1 := strconv.ParseUint(major, 10, 32)
	mi, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return Entry{}, fmt.Errorf("mount table: malformed device in %.80q", line)
	}
	return Entry{
		ID: id, Dev: unix.Mkdev(uint32(ma), uint32(mi)), Root: unescape(left[3]), Point: unescape(left[4]),
		Type: right[0], Source: unescape(right[1]), Super: right[2],
	}, nil
}

// unescape undoes the octal escapes (space, tab, newline, backslash) of the kernel's seq_escape.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// At returns the mount that is on top at a mount point, the last one in the table.
func At(table []Entry, point string) (Entry, bool) {
	for i := len(table) - 1; i >= 0; i-- {
		if table[i].Point == point {
			return table[i], true
		}
	}
	return Entry{}, false
}
