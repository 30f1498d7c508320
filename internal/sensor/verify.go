package sensor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// maxVerify is the longest file that is compared by content.
const maxVerify = 1 << 30

// verify compares a file that was copied up, because its mode or its content was changed, with what the
// image has. A changed one is drift. It is queued: a.mu is held, and nothing is hashed here.
func (a *Agent) verify(b *box, ev *kernel.Event, c *content) {
	event := *ev
	queued := a.later(func(context.Context) {
		want, have, err := a.compare(b, &event, c)
		a.mu.Lock()
		defer a.mu.Unlock()
		known := *c
		switch {
		case err != nil:
			known.gaps = append(known.gaps[:len(known.gaps):len(known.gaps)], "its content could not be compared with the image's: "+err.Error())
			a.Logger.Warn("changed file not compared", "path", event.File.Path, "error", err)
			return
		case want == have:
			return
		}
		known.file.Origin = originChanged
		a.raise(b, &event, &known, alert.ExecutedDrift, "exec")
	})
	if !queued {
		a.missed++
	}
}

// script looks whether a script that an interpreter was started for is drift: the program that the kernel
// executes is the interpreter, of the image. It is queued, like [Agent.verify]; a.mu is held.
func (a *Agent) script(b *box, ev *kernel.Event) {
	event, upper := *ev, a.host+b.c.Root.Upper
	queued := a.later(func(context.Context) {
		if !onlyUpper(upper, event.Target) {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		c := &content{file: alert.File{Path: event.Target, Origin: originContainer}}
		a.raise(b, &event, c, alert.ExecutedDrift, "exec")
	})
	if !queued {
		a.missed++
	}
}

// onlyUpper reports whether a path names a plain file of the writable layer that no layer of the image has:
// overlay leaves a mark on files that it copied up, which a container cannot make.
func onlyUpper(upper, path string) bool {
	dir, err := unix.Open(upper, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, strings.TrimPrefix(filepath.Clean(path), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	_, err = unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "trusted.overlay.origin", nil)
	return err != nil
}

// compare returns the digests of what the image has at a path and of what the container has there now.
func (a *Agent) compare(b *box, ev *kernel.Event, c *content) (want, have string, err error) {
	a.mu.Lock()
	root := b.c.Root
	a.mu.Unlock()
	want = c.file.SHA256.Hex()
	if want == "" {
		// No record of the layer: the lower folder itself still has the original.
		if ev.File.Layer < 1 || ev.File.Layer > len(root.Lower) || ev.File.Dev != root.Dev {
			return "", "", fmt.Errorf("the layer is not known")
		}
		if want, err = hashIn(a.host+root.Lower[ev.File.Layer-1], ev.File.Path); err != nil {
			return "", "", err
		}
	}
	// The host's mount of the root shows the file whatever the container has mounted over it.
	merged := filepath.Join(a.Proc, strconv.Itoa(int(ev.PID)), "root")
	if root.Mount != "" {
		merged = a.host + root.Mount
	}
	have, err = hashIn(merged, ev.File.Path)
	return want, have, err
}

// hashIn hashes a file below root. The folder is the container's to arrange: links do not lead out of it,
// and what is no plain file is not opened for reading.
func hashIn(root, path string) (string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open root: %w", err)
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return "", fmt.Errorf("open file: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxVerify {
		return "", fmt.Errorf("%s of %d bytes is not compared", info.Mode().Type(), info.Size())
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxVerify)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
