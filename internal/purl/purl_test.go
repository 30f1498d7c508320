package purl

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
)

func TestNamesGoIntoAPackageURLAndComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                      string
		ecosystem, spelt, version string
		want                      PURL
	}{
		{"npm", NPM, "left-pad", "1.3.0", "pkg:npm/left-pad@1.3.0"},
		{"npm with a scope", NPM, "@acme/ui", "1.2.3", "pkg:npm/%40acme/ui@1.2.3"},
		{"npm with a build", NPM, "ui", "1.0.0+b", "pkg:npm/ui@1.0.0%2Bb"},
		{"without a version", NPM, "@acme/ui", "", "pkg:npm/%40acme/ui"},
		{"a Go module", Golang, "golang.org/x/mod", "v0.38.0", "pkg:golang/golang.org/x/mod@v0.38.0"},
		{"a Debian package", Debian, "debian/libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9"},
		{"an image's repository", OCI, "app", "sha256:00", "pkg:oci/app@sha256:00"},
	} {
		p := New(c.ecosystem, c.spelt, c.version)
		if p != c.want {
			t.Errorf("%s: got %s, want %s", c.name, p, c.want)
		}
		if e, n, v := p.Split(); e != c.ecosystem || n != c.spelt || v != c.version {
			t.Errorf("%s: came back as %q %q %q", c.name, e, n, v)
		}
		if again, err := Parse(string(p)); err != nil || again != p {
			t.Errorf("%s: parsed as %q, %v", c.name, again, err)
		}
	}
}

func TestOneThingHasOneSpelling(t *testing.T) {
	t.Parallel()
	for spelling, want := range map[string]PURL{
		"pkg:npm/@acme/ui@1.2.3":                      "pkg:npm/%40acme/ui@1.2.3",
		"pkg:NPM/%40acme/ui@1.2.3":                    "pkg:npm/%40acme/ui@1.2.3",
		"pkg:pypi/Zope.Interface_x@1":                 New(PyPI, "Zope.Interface_x", "1"),
		"pkg:deb/debian/libc6@1?distro=12&arch=arm64": New(Debian, "debian/libc6", "1", "arch", "arm64", "distro", "12"),
	} {
		if got, err := Parse(spelling); err != nil || got != want {
			t.Errorf("%s became %s, %v; want %s", spelling, got, err, want)
		}
	}
}

func TestAnImageIsNamedByItsRepositoryAndDigest(t *testing.T) {
	t.Parallel()
	p := Image("acme/team/app", "sha256:00")
	if e, n, v := p.Split(); e != OCI || n != "app" || v != "sha256:00" {
		t.Errorf("it came back as %q %q %q", e, n, v)
	}
	if p == Image("acme/other/app", "sha256:00") {
		t.Error("the same image in two repositories has one name")
	}
	if again, err := Parse(string(p)); err != nil || again != p {
		t.Errorf("parsed as %q, %v", again, err)
	}
}

func TestWhatIsNoPackageURLIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "npm/ui", "pkg:", "pkg:npm", "http://example.com", "pkg:npm/%zz", strings.Repeat("x", 1000)} {
		_, err := Parse(s)
		if err == nil || fault.As(err).Code != "purl-invalid" {
			t.Errorf("%.20q: got %v", s, err)
		}
		if err != nil && len(fault.As(err).Text) > 400 {
			t.Errorf("%.20q: the answer repeats %d bytes", s, len(fault.As(err).Text))
		}
	}
}

func TestEmptyQualifiersAreLeftOut(t *testing.T) {
	t.Parallel()
	if p := New(Alpine, "alpine/musl", "1", "arch", ""); p != New(Alpine, "alpine/musl", "1") {
		t.Errorf("got %s", p)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"pkg:npm/%40acme/ui@1.2.3", "pkg:golang/golang.org/x/mod@v0.38.0", string(Image("acme/app", "sha256:00")),
		"pkg:deb/debian/libc6@1?arch=arm64#sub/path", "pkg:npm/", "pkg:", "%",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(string(p))
		if err != nil || again != p {
			t.Errorf("%q became %q, and that became %q, %v", s, p, again, err)
		}
	})
}
