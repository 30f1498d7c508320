package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// shell runs a line of the host's shell inside the lab's cgroup.
func shell(t *testing.T, l *lab.Lab, line string) (string, error) {
	t.Helper()
	return l.Run(t.Context(), program(t, "sh"), "-c", line)
}

func TestOpensOfCodeAreToldAndOthersAreNot(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		for _, name := range []string{"a.js", "libx.so.1.2", "data.bin", "package.json", "last.py"} {
			if err := os.WriteFile(l.Path("lower1", name), []byte("1"), 0o644); err != nil {
				return err
			}
		}
		line := fmt.Sprintf("cd %s; for f in a.js a.js libx.so.1.2 data.bin package.json last.py; do read x < $f; done; true", l.Path("merged"))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if _, err := w.find(l.ID, of(Open, "/last.py")); err != nil {
			return err
		}
		if got := w.count(l.ID, of(Open, "/a.js")); got != 1 {
			return fmt.Errorf("a.js told %d times", got)
		}
		if got := w.count(l.ID, of(Open, "/libx.so.1.2")); got != 1 {
			return fmt.Errorf("libx.so.1.2 told %d times", got)
		}
		for _, name := range []string{"/data.bin", "/package.json"} {
			if w.count(l.ID, of(Open, name)) != 0 {
				return fmt.Errorf("%s was told", name)
			}
		}
		return nil
	})
}

func TestOpensOfSensitiveFilesAreTold(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		key := l.Path("lower1", "root/.ssh/id_ed25519")
		if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(key, []byte("1"), 0o600); err != nil {
			return err
		}
		line := fmt.Sprintf("cat %s /etc/shadow /proc/self/environ >/dev/null", l.Merged("root/.ssh/id_ed25519"))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for _, path := range []string{"/root/.ssh/id_ed25519", "/etc/shadow"} {
			e, err := w.find(l.ID, of(Open, path))
			if err != nil {
				return err
			}
			if !e.Sensitive {
				return fmt.Errorf("not sensitive: %+v", e)
			}
		}
		_, err := w.find(l.ID, func(e Event) bool {
			return e.Kind == Open && e.Sensitive && strings.HasPrefix(e.File.Path, "/proc/") && strings.HasSuffix(e.File.Path, "/environ")
		})
		return err
	})
}

func TestARecalledFileEndsTheProcessThatOpensIt(t *testing.T) {
	cat := program(t, "cat")
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillRecalled: true}); err != nil {
			return err
		}
		below := l.Path("lower1", "bundle.json")
		if err := os.WriteFile(below, []byte("secret"), 0o644); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(below, &st); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bundle.json")); err != nil || out != "secret" {
			return fmt.Errorf("before: %q %w", out, err)
		}
		if err := w.Block(st.Dev, st.Ino); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bundle.json")); err == nil || out != "" {
			return fmt.Errorf("blocked file gave %q, %v", out, err)
		}
		// A change of its mode copies it up; it stays what it was.
		if err := os.Chmod(l.Merged("bundle.json"), 0o600); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bundle.json")); err == nil || out != "" {
			return fmt.Errorf("blocked file that was copied up gave %q, %v", out, err)
		}
		e, err := w.find(l.ID, func(e Event) bool { return e.Recalled && e.Kind == Open && e.Action == Killed })
		if err != nil {
			return err
		}
		if e.File.RealInode != st.Ino || e.File.RealDev != st.Dev {
			return fmt.Errorf("event %+v, want inode %d on %d", e, st.Ino, st.Dev)
		}
		if err := w.Unblock(st.Dev, st.Ino); err != nil {
			return err
		}
		out, err := l.Run(t.Context(), cat, l.Merged("bundle.json"))
		if err != nil || out != "secret" {
			return fmt.Errorf("after: %q %w", out, err)
		}
		return nil
	})
}

func TestAMarkedFileMayBeReadAndIsToldAndABlockStaysOne(t *testing.T) {
	cat := program(t, "cat")
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillRecalled: true}); err != nil {
			return err
		}
		below := l.Path("lower1", "bundle.json")
		if err := os.WriteFile(below, []byte("work"), 0o644); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(below, &st); err != nil {
			return err
		}
		if err := w.Mark(st.Dev, st.Ino); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bundle.json")); err != nil || out != "work" {
			return fmt.Errorf("marked: %q %w", out, err)
		}
		if _, err := w.find(l.ID, func(e Event) bool { return e.Recalled && e.Kind == Open && e.Action == Observed }); err != nil {
			return err
		}
		if err := errors.Join(w.Block(st.Dev, st.Ino), w.Mark(st.Dev, st.Ino)); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bundle.json")); err == nil || out != "" {
			return fmt.Errorf("a blocked file that was marked again gave %q, %v", out, err)
		}
		return w.Unblock(st.Dev, st.Ino)
	})
}

func TestADriftedScriptEndsItsInterpreter(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillDrift: true}); err != nil {
			return err
		}
		script := "#!/bin/sh\necho ran\n"
		if err := os.WriteFile(l.Path("lower1", "start"), []byte(script), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(l.Merged("dropped"), []byte(script), 0o755); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), l.Merged("start")); err != nil || out != "ran\n" {
			return fmt.Errorf("script of the image: %q %w", out, err)
		}
		if out, err := l.Run(t.Context(), l.Merged("dropped")); err == nil || out != "" {
			return fmt.Errorf("drifted script: %q, %v", out, err)
		}
		e, err := w.find(l.ID, func(e Event) bool { return e.Kind == Exec && e.Target == l.Merged("dropped") })
		if err != nil {
			return err
		}
		if e.File.Path == "" || e.File.Origin != OriginHost {
			return fmt.Errorf("interpreter of %+v", e)
		}
		_, err = w.find(l.ID, func(e Event) bool { return e.Kind == Open && e.Action == Killed && e.File.Path == "/dropped" })
		return err
	})
}

func TestEgressIsDeniedAndLoopbackStays(t *testing.T) {
	w := watch(t, Config{})
	python := program(t, "python3")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{DenyEgress: true}); err != nil {
			return err
		}
		// 192.0.2.0/24 and 2001:db8::/32 are for documentation: nobody is there, and nothing is sent.
		code := fmt.Sprintf(`
import socket
def attempt(family, kind, call, address):
    try:
        s = socket.socket(family, kind)
        s.settimeout(1)
        getattr(s, call)(*address)
        return "done"
    except PermissionError:
        return "denied"
    except OSError:
        return "other"
print(attempt(socket.AF_INET, socket.SOCK_STREAM, "connect", (("127.0.0.1", %d),)),
      attempt(socket.AF_INET, socket.SOCK_STREAM, "connect", (("192.0.2.7", 443),)),
      attempt(socket.AF_INET, socket.SOCK_DGRAM, "sendto", (b"x", ("192.0.2.8", 53))),
      attempt(socket.AF_INET6, socket.SOCK_STREAM, "connect", (("::ffff:192.0.2.9", 443),)))
`, port)
		out, err := l.Run(t.Context(), python, "-c", code)
		if err != nil || strings.TrimSpace(out) != "done denied denied denied" {
			return fmt.Errorf("%q %w", out, err)
		}
		for peer, want := range map[string]Action{"192.0.2.7:443": Denied, "192.0.2.8:53": Denied, "192.0.2.9:443": Denied, fmt.Sprintf("127.0.0.1:%d", port): Observed} {
			e, err := w.find(l.ID, func(e Event) bool { return e.Peer == netip.MustParseAddrPort(peer) })
			if err != nil {
				return err
			}
			if e.Action != want {
				return fmt.Errorf("event %+v", e)
			}
		}
		return nil
	})
}

func TestATaintedProcessAndItsChildrenMayNotDialOut(t *testing.T) {
	w := watch(t, Config{})
	python := program(t, "python3")
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{DenyTaintedEgress: true}); err != nil {
			return err
		}
		below := l.Path("lower1", "bad.txt")
		if err := os.WriteFile(below, []byte("1"), 0o644); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(below, &st); err != nil {
			return err
		}
		if err := w.Block(st.Dev, st.Ino); err != nil {
			return err
		}
		code := fmt.Sprintf(`
import os, socket
def attempt():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.connect(("192.0.2.7", 9))
        return "done"
    except PermissionError:
        return "denied"
    except OSError:
        return "done"
print(attempt(), flush=True)
open(%q).read()
print(attempt(), flush=True)
if os.fork() == 0:
    print(attempt(), flush=True)
    os._exit(0)
os.wait()
`, l.Merged("bad.txt"))
		out, err := l.Run(t.Context(), python, "-c", code)
		if err != nil || strings.Join(strings.Fields(out), " ") != "done denied denied" {
			return fmt.Errorf("%q %w", out, err)
		}
		return nil
	})
}

func TestPrivilegesMappingsAndPathsAreTold(t *testing.T) {
	w := watch(t, Config{})
	python := program(t, "python3")
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		code := fmt.Sprintf(`
import ctypes, mmap, os, socket
os.chdir(%q)
open("made.txt", "w").close()
os.chmod("made.txt", 0o640)
os.rename("made.txt", "moved.txt")
os.unlink(os.path.abspath("moved.txt"))
f = os.open("lower", os.O_RDONLY)
mmap.mmap(f, 10, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.socket(); c.connect(s.getsockname()); s.accept()
os.setuid(0)
ctypes.CDLL(None).unshare(0x04000000)
`, l.Path("merged"))
		if out, err := l.Run(t.Context(), python, "-c", code); err != nil {
			return fmt.Errorf("%q %w", out, err)
		}
		root := l.Path("merged")
		for what, want := range map[string]func(Event) bool{
			"chmod":   func(e Event) bool { return e.Kind == Chmod && e.File.Path == "/made.txt" && e.Code == 0o640 },
			"rename":  func(e Event) bool { return e.Kind == Rename && e.File.Path == "/made.txt" && e.Target == "/moved.txt" },
			"mmap":    func(e Event) bool { return e.Kind == Mmap && e.File.Path == "/lower" && e.File.Origin == OriginLower },
			"bind":    func(e Event) bool { return e.Kind == Bind && e.Peer.Addr().IsLoopback() },
			"accept":  func(e Event) bool { return e.Kind == Accept && e.Peer.Addr().IsLoopback() && e.Peer.Port() != 0 },
			"setuid":  func(e Event) bool { return e.Kind == Privilege && e.Call == "setuid" },
			"unshare": func(e Event) bool { return e.Kind == Privilege && e.Call == "unshare" && e.Code == 0x04000000 },
			"exit":    func(e Event) bool { return e.Kind == Exit && e.Code == 0 },
		} {
			if _, err := w.find(l.ID, want); err != nil {
				return fmt.Errorf("%s below %s: %w", what, root, err)
			}
		}
		return nil
	})
}

func TestACgroupInheritsWhatItsParentWasGiven(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillDrift: true}); err != nil {
			return err
		}
		inner := filepath.Join(l.Cgroup, "inner")
		if err := os.Mkdir(inner, 0o755); err != nil {
			return err
		}
		defer os.Remove(inner)
		id, err := CgroupID(inner)
		if err != nil {
			return err
		}
		made, err := w.find(id, func(e Event) bool { return e.Kind == CgroupMade })
		if err != nil {
			return err
		}
		if !strings.HasSuffix(made.Target, "/inner") {
			return fmt.Errorf("event %+v", made)
		}
		drift, err := l.Drift("drift")
		if err != nil {
			return err
		}
		out, err := shell(t, l, fmt.Sprintf("echo $$ > %s/cgroup.procs; exec %s", inner, drift))
		if err == nil || out != "" {
			return fmt.Errorf("drift in a cgroup of its own wrote %q: %v", out, err)
		}
		_, err = w.find(id, of(Exec, "/drift"))
		return err
	})
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
