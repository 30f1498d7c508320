package mount_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/mount"
)

func TestLowerLayersComeOutInTheKernelsOrder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		super string
		want  mount.Overlay
	}{
		"podman's short links": {
			`rw,lowerdir=/s/l/AAA:/s/l/BBB:/s/l/CCC,upperdir=/s/x/diff,workdir=/s/x/work,uuid=on`,
			mount.Overlay{Lower: []string{"/s/l/AAA", "/s/l/BBB", "/s/l/CCC"}, Upper: "/s/x/diff"},
		},
		"one option a layer, as Linux 6.8 prints what fsconfig set": {
			`rw,lowerdir+=/a,lowerdir+=/b,datadir+=/d,upperdir=/u,workdir=/w`,
			mount.Overlay{Lower: []string{"/a", "/b"}, Upper: "/u"},
		},
		"data-only layers hold no names": {
			`ro,lowerdir=/a:/b::/data1::/data2`,
			mount.Overlay{Lower: []string{"/a", "/b"}},
		},
		"colons and commas in names": {
			`rw,lowerdir=/a\134:b:/c\134,d,upperdir=/u\040x`,
			mount.Overlay{Lower: []string{"/a:b", "/c,d"}, Upper: "/u x"},
		},
		"containerd's relative names": {
			`rw,lowerdir=3/fs:2/fs,upperdir=/r/snapshots/4/fs,workdir=/r/snapshots/4/work`,
			mount.Overlay{Lower: []string{"3/fs", "2/fs"}, Upper: "/r/snapshots/4/fs"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := mount.Parse(strings.NewReader("77 52 0:40 / / rw,relatime shared:1 master:2 - overlay overlay " + test.super + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := table[0].Overlay()
			if err != nil {
				t.Fatal(err)
			}
			test.want.Dev = unix.Mkdev(0, 40)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestShortNamesAreBelowTheFolderOfAllLayers(t *testing.T) {
	t.Parallel()
	o := mount.Overlay{Lower: []string{"3/fs", "/elsewhere/2/fs"}, Upper: "/r/snapshots/4/fs"}
	if got := o.Folders(); !reflect.DeepEqual(got, []string{"/r/snapshots/3/fs", "/elsewhere/2/fs"}) {
		t.Error(got)
	}
	o = mount.Overlay{Lower: []string{"l/ABC"}, Upper: "/s/overlay/0123/diff"}
	if got := o.Folders(); !reflect.DeepEqual(got, []string{"/s/overlay/l/ABC"}) {
		t.Error(got)
	}
	o = mount.Overlay{Lower: []string{"3/fs"}} // read-only: nothing says where
	if got := o.Folders(); !reflect.DeepEqual(got, []string{"3/fs"}) {
		t.Error(got)
	}
}

func TestAMalformedLineIsAnErrorAndNotSkipped(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"x 52 0:40 / / rw - overlay overlay rw", "77 52 0-40 / / rw - overlay overlay rw", "77 52 0:40 / / rw overlay", "\x00",
		"77 52 0:99999999999 / / rw - overlay overlay rw",
	} {
		if _, err := mount.Parse(strings.NewReader("1 1 0:1 / / rw - tmpfs tmpfs rw\n" + line + "\n")); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

func TestARealOverlayIsReadBackAsItWasMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can mount an overlay, and under CI nothing may skip")
		}
		t.Skip("only root can mount an overlay")
	}
	folder := t.TempDir()
	for _, name := range []string{"one", "two:odd, name", "up", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(folder, "merged")
	odd := strings.NewReplacer(":", `\:`, ",", `\,`).Replace(filepath.Join(folder, "two:odd, name"))
	options := "lowerdir=" + filepath.Join(folder, "one") + ":" + odd +
		",upperdir=" + filepath.Join(folder, "up") + ",workdir=" + filepath.Join(folder, "work")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	})
	table, err := mount.Read("/proc", 0)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := mount.At(table, merged)
	if !ok {
		t.Fatalf("%s is not in the table", merged)
	}
	o, err := e.Overlay()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(merged, &st); err != nil {
		t.Fatal(err)
	}
	want := mount.Overlay{Dev: st.Dev, Lower: []string{filepath.Join(folder, "one"), filepath.Join(folder, "two:odd, name")}, Upper: filepath.Join(folder, "up")}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`77 52 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/a\:b:/c::/d,upperdir=/u`)
	f.Add("1 1 0:1 / /a\\040b rw - tmpfs \\134 rw\n2 1 0:2 / / rw - overlay overlay lowerdir+=x")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := mount.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, e := range table {
			if o, err := e.Overlay(); err == nil && (len(o.Lower) == 0 || len(o.Lower) > 500) {
				t.Errorf("%d lower layers", len(o.Lower))
			}
		}
	})
}
