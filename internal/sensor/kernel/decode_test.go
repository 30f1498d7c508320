package kernel

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// record builds what the kernel would write.
func record(kind Kind, path, target, args string) []byte {
	le := binary.LittleEndian
	raw := make([]byte, headSize)
	raw[atKind] = byte(kind)
	le.PutUint16(raw[atPathLen:], uint16(len(path)))
	le.PutUint16(raw[atTargetLen:], uint16(len(target)))
	le.PutUint16(raw[atArgsLen:], uint16(len(args)))
	le.PutUint64(raw[atTime:], uint64(3*time.Second))
	copy(raw[atComm:], "node")
	return append(raw, path+target+args...)
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	d := newDecoder(&patterns{})
	d.boot = time.Unix(1000, 0)
	var e Event
	keep, err := d.decode(record(Exec, "/usr/bin/node", "/app/start", "node\x00/app/start\x00-v\x00"), &e)
	if err != nil || !keep {
		t.Fatal(keep, err)
	}
	if e.File.Path != "/usr/bin/node" || e.Target != "/app/start" || e.Args != "node /app/start -v" || e.Comm != "node" || !e.Time.Equal(time.Unix(1003, 0)) {
		t.Errorf("%+v", e)
	}
}

func TestASecondPathIsRelativeToTheFolderOfTheFirst(t *testing.T) {
	t.Parallel()
	raw := record(Rename, "/app/../srv/./a.js", "../b.js", "")
	binary.LittleEndian.PutUint32(raw[atCode:], uint32(len("/app")))
	var e Event
	if _, err := newDecoder(&patterns{}).decode(raw, &e); err != nil {
		t.Fatal(err)
	}
	if e.File.Path != "/srv/a.js" || e.Target != "/b.js" || e.Code != 0 {
		t.Errorf("%+v", e)
	}
}

func TestAnOpenThatOnlyLookedSensitiveIsDropped(t *testing.T) {
	t.Parallel()
	paths, err := newPatterns(DefaultSensitive())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/etc/shadow": true, "/srv/shadow": false, "/home/a/.ssh/id": true, "/.ssh/x/y": false, "/proc/12/environ": true,
		"/run/secrets/kubernetes.io/serviceaccount/..2026_11_26/token": true, "/token": false, "/root/.npmrc": true,
	} {
		raw := record(Open, path, "", "")
		raw[atFlags] = flagSensitive
		var e Event
		keep, err := newDecoder(paths).decode(raw, &e)
		if err != nil || keep != want || e.Sensitive != want {
			t.Errorf("%s: kept %v, %v, want %v", path, keep, err, want)
		}
	}
}

func TestAPatternThatTheKernelCannotLookForIsRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"/etc/*/*", "*", "/a/[", "/"} {
		if _, err := newPatterns([]string{pattern}); err == nil {
			t.Errorf("%q was accepted", pattern)
		}
	}
}

func TestDevicesAreNumberedAsStatDoes(t *testing.T) {
	t.Parallel()
	for _, kernel := range []uint32{8<<20 | 1, 253<<20 | 300, 0<<20 | 41, 259<<20 | 1048575} {
		if got := kernelDevice(device(kernel)); got != kernel {
			t.Errorf("%#x became %#x", kernel, got)
		}
	}
}

func TestTheTreeOfVersion2IsFoundAlsoBesideOthers(t *testing.T) {
	t.Parallel()
	const hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" +
		"41 31 0:38 /part /mnt/part rw - cgroup2 cgroup2 rw\n" +
		`42 31 0:38 / /sys/fs/cgroup/uni\040fied rw shared:4 - cgroup2 cgroup2 rw` + "\n"
	if at, err := cgroupMount(strings.NewReader(hybrid)); err != nil || at != "/sys/fs/cgroup/uni fied" {
		t.Error(at, err)
	}
	if at, err := cgroupMount(strings.NewReader("31 23 0:28 / / rw - ext4 /dev/vda rw\n")); err == nil {
		t.Errorf("found %q", at)
	}
}

func TestLevelsAreWrittenAndReadAlike(t *testing.T) {
	t.Parallel()
	for level := None; level <= DenyLSM; level++ {
		var back Level
		if err := back.UnmarshalText([]byte(level.String())); err != nil || back != level {
			t.Errorf("%s became %s, %v", level, back, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record(Exec, "/bin/sh", "/x", "sh\x00"))
	f.Add(record(Rename, "/app/a", "b", ""))
	f.Add([]byte{1, 2, 3})
	paths, err := newPatterns(DefaultSensitive())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e Event
		if keep, err := newDecoder(paths).decode(raw, &e); err != nil && keep {
			t.Error("a broken record was kept")
		}
	})
}

func FuzzCgroupMount(f *testing.F) {
	f.Add("42 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, mountinfo string) {
		if at, err := cgroupMount(strings.NewReader(mountinfo)); err == nil && at == "" {
			t.Error("found nothing, without an error")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	paths, err := newPatterns(DefaultSensitive())
	if err != nil {
		b.Fatal(err)
	}
	d := newDecoder(paths)
	raw := record(Open, "/usr/lib/node_modules/a/index.js", "", "")
	raw[atFlags] = flagCode
	var e Event
	for b.Loop() {
		if _, err := d.decode(raw, &e); err != nil {
			b.Fatal(err)
		}
	}
}
