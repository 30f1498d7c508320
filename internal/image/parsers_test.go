package image

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestComponentsThatFilesDeclare(t *testing.T) {
	t.Parallel()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	wall := string(z.EncodeAll([]byte(`{"jsonwall":"1.0","count":2}
{"kind":"package","name":"libc6","version":"2.39-0ubuntu8","sha256":"x","arch":"amd64"}
{"kind":"slice","name":"libc6_libs"}
`), nil))
	tests := map[string]struct{ path, content, want string }{
		"dpkg": {"var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nMaintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n" +
			"Architecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u10\nDescription: GNU C Library\n contains\n Version: 9\n",
			"pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64 glibc 2.36-9+deb12u10"},
		"dpkg, source with its own version": {"var/lib/dpkg/status", "Package: zlib1g\nStatus: hold ok installed\nSource: zlib (1:1.2.13.dfsg-1)\nVersion: 1:1.2.13.dfsg-1+b1\nArchitecture: arm64\n",
			"pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1%2Bb1?arch=arm64 zlib 1:1.2.13.dfsg-1"},
		"dpkg leaves out what is not installed": {"var/lib/dpkg/status", "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: b\nStatus: install ok half-installed\nVersion: 1\n\nPackage: c\nVersion: 1\n", ""},
		"dpkg of Ubuntu, told by base-files": {"var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: base-files\nStatus: install ok installed\nVersion: 13ubuntu10\n",
			"pkg:deb/ubuntu/a@1\npkg:deb/ubuntu/base-files@13ubuntu10"},
		"distroless": {"var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n",
			"pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all"},
		"distroless checksums are no package": {"var/lib/dpkg/status.d/tzdata.md5sums", "Package: tzdata\nVersion: 1\n", ""},
		"chisel":                              {"var/lib/chisel/manifest.wall", wall, "pkg:deb/ubuntu/libc6@2.39-0ubuntu8?arch=amd64"},
		"apk": {"lib/apk/db/installed", "C:Q1abc=\nP:libcrypto3\nV:3.3.2-r1\nA:x86_64\no:openssl\nF:lib\nR:libcrypto.so.3\n\nP:musl\nV:1.2.5-r1\nA:x86_64\no:musl\n",
			"pkg:apk/alpine/libcrypto3@3.3.2-r1?arch=x86_64 openssl 3.3.2-r1\npkg:apk/alpine/musl@1.2.5-r1?arch=x86_64"},
		"apk of Wolfi":                      {"usr/lib/apk/db/installed", "P:wolfi-baselayout\nV:20230201-r15\nA:x86_64\n\n", "pkg:apk/wolfi/wolfi-baselayout@20230201-r15?arch=x86_64"},
		"npm":                               {"app/node_modules/left-pad/package.json", manifestOf("left-pad", "1.3.0"), "pkg:npm/left-pad@1.3.0"},
		"npm, scoped":                       {"node_modules/@acme/ui/package.json", manifestOf("@acme/ui", "1.0.0"), "pkg:npm/%40acme/ui@1.0.0"},
		"npm, aliased":                      {"node_modules/alias/package.json", manifestOf("real", "1.0.0"), "pkg:npm/real@1.0.0"},
		"npm, nested":                       {"node_modules/a/node_modules/b/package.json", manifestOf("b", "1.0.0"), "pkg:npm/b@1.0.0"},
		"npm, with a BOM":                   {"node_modules/a/package.json", "\ufeff" + manifestOf("a", "1.0.0"), "pkg:npm/a@1.0.0"},
		"npm, not a root":                   {"node_modules/a/dist/package.json", manifestOf("a", "1.0.0"), ""},
		"npm, a marker":                     {"node_modules/a/package.json", `{"type":"module"}`, ""},
		"npm, no JSON":                      {"node_modules/a/package.json", `{"name":"a","version":"1`, ""},
		"npm, odd name":                     {"node_modules/a/package.json", manifestOf("a b/c/d", "1.0.0"), ""},
		"a project is no installed package": {"app/package.json", manifestOf("app", "1.0.0"), ""},
		"dist-info":                         {"usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\n\nName: body\n", "pkg:pypi/foo-bar@1.0"},
		"egg-info":                          {"site-packages/x.egg-info/PKG-INFO", "Name: x\r\nVersion: 2\r\n", "pkg:pypi/x@2"},
		"egg-info, a file":                  {"dist-packages/x-2.egg-info", "Name: x\nVersion: 2\n", "pkg:pypi/x@2"},
		"dist-info without version":         {"x.dist-info/METADATA", "Name: x\n\nVersion: 1\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv := layerOf(t, file(tt.path, tt.content))
			var got []string
			for c := range inv.AllComponents {
				if c.Path != tt.path {
					t.Errorf("path = %q", c.Path)
				}
				got = append(got, strings.TrimSpace(string(c.PURL)+" "+c.Source))
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("components:\n%s\nwant:\n%s", strings.Join(got, "\n"), tt.want)
			}
			if inv.Incomplete != "" {
				t.Errorf("incomplete: %s", inv.Incomplete)
			}
		})
	}
}

func TestOSRelease(t *testing.T) {
	t.Parallel()
	const content = "# comment\nPRETTY_NAME=\"Say \\\"hi\\\"\"\nID='alpine'\n VERSION_ID=3.22.1 \nHOME_URL=x\n"
	inv := layerOf(t, file("usr/lib/os-release", "ID=other\n"), file("etc/os-release", content))
	if want := (evidence.OSRelease{ID: "alpine", VersionID: "3.22.1", PrettyName: `Say "hi"`}); *inv.OS != want {
		t.Errorf("os = %+v, want %+v", *inv.OS, want)
	}
}

func TestAnRPMDatabaseIsSeenAndSaidToBeUnread(t *testing.T) {
	t.Parallel()
	inv := layerOf(t, file("var/lib/rpm/rpmdb.sqlite", "SQLite"))
	if len(inv.Databases) != 1 || !strings.Contains(inv.Incomplete, "not read by this version") {
		t.Errorf("inventory = %+v", inv)
	}
}

// debug/buildinfo is the peer.
func TestGoBuildInfoIsWhatTheToolchainReads(t *testing.T) {
	t.Parallel()
	exe := filepath.Join(t.TempDir(), "x")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", exe, "./testdata/gobinary")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := buildinfo.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("the executable has no dependencies to find")
	}
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	want := []string{string(purl.New(purl.Golang, "stdlib", goVersion))}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		want = append(want, string(purl.New(purl.Golang, info.Main.Path, v)))
	}
	for _, dep := range info.Deps {
		want = append(want, string(purl.New(purl.Golang, dep.Path, dep.Version)))
	}
	raw, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if got := declaredPURLs(layerOf(t, executable("usr/bin/x", string(raw)))); got != strings.Join(want, "\n") {
		t.Errorf("components:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// record is a build info record with one dependency.
func record(goVersion, dep string) string {
	mod := strings.Repeat("s", 16) + "path\tx\nmod\tx\tv1.0.0\n" + dep + strings.Repeat("e", 16)
	varint := func(s string) string { return string([]byte{byte(len(s)&0x7f | 0x80), byte(len(s) >> 7)}) + s }
	return buildInfoMagic + "\x08\x02" + strings.Repeat("\x00", 16) + varint(goVersion) + varint(mod)
}

func TestBuildInfoIsFoundAcrossBlocks(t *testing.T) {
	t.Parallel()
	const pad = 16 * 100
	body := strings.Repeat("a", pad+7) + record("go1.0", "") + strings.Repeat("b", 16*40) // unaligned: does not count
	body += strings.Repeat("c", 16-len(body)%16)
	body += record("go1.22.1 X:foo", "dep\tgolang.org/x/mod\tv0.1.0\tx\n=>\texample.com/fork\tv0.2.0\ty\ndep\tlocal\tv1.0.0\n=>\t./here\t(devel)\t\n") + "tail"
	const want = "pkg:golang/stdlib@1.22.1\npkg:golang/x@v1.0.0\npkg:golang/example.com/fork@v0.2.0\npkg:golang/local"
	for _, step := range []int{1, 13, 16, 1000, 1 << 20} {
		s := newBuildInfoScanner(nil)
		for rest := []byte(body); len(rest) > 0; {
			n := min(step, len(rest))
			s.write(rest[:n])
			rest = rest[n:]
		}
		if got := purls(s.components("x"), func(c evidence.Component) string { return string(c.PURL) }); got != want {
			t.Errorf("in steps of %d:\n%s\nwant:\n%s", step, got, want)
		}
	}
}

func TestTheDebianNamespaceDoesNotDependOnTheLayer(t *testing.T) {
	t.Parallel()
	with := layerOf(t, file("etc/os-release", "ID=ubuntu\n"), file("var/lib/dpkg/status", status("a 1", "base-files 13ubuntu1")))
	without := layerOf(t, file("var/lib/dpkg/status", status("a 1", "base-files 13ubuntu1", "b 2")))
	if a, b := with.Databases[0].Components[0].PURL, without.Databases[0].Components[0].PURL; a != b {
		t.Errorf("the same package is %s and %s", a, b)
	}
}
