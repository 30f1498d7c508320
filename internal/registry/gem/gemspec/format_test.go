package gemspec

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// ruby runs a script on bytes, and skips the test where there is no Ruby.
func ruby(t *testing.T, script string, input []byte) string {
	t.Helper()
	if _, err := exec.LookPath("ruby"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ruby is missing, and under CI nothing may skip; run scripts/tools e2e")
		}
		t.Skip("ruby is missing")
	}
	cmd := exec.CommandContext(t.Context(), "ruby", "-W0", "-e", script)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ruby: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRubyLoadsAGemspecThatWeWrite(t *testing.T) {
	t.Parallel()
	s, err := ParseSpec([]byte(gemtest.Gem{
		Name: "acme-ui", Version: "1.2.0.rc1", Platform: "x86_64-linux-musl", Dependencies: map[string]string{"rack": "~> 2.0", "zeitwerk": ">= 1.a"},
	}.YAML()))
	if err != nil {
		t.Fatal(err)
	}
	s.Summary = strings.Repeat("ü", 300) // longer than a length of one byte
	m := NewMarshaller()
	m.Specification(s)
	got := ruby(t, `s = Marshal.load($stdin.binmode.read)
		puts s.full_name, s.version.prerelease?, s.platform.inspect, s.summary == "ü" * 300, s.summary.encoding, s.date, s.authors.inspect, s.instance_variable_get(:@license).inspect
		puts s.required_ruby_version, s.metadata.inspect, s.dependencies.map(&:to_s), s.runtime_dependencies.map { |d| d.prerelease? }.inspect
		puts Marshal.load(Marshal.dump(s)) == s`, m.Out)
	want := `acme-ui-1.2.0.rc1-x86_64-linux-musl
true
#<Gem::Platform:0x0 @cpu="x86_64", @os="linux", @version="musl">
true
UTF-8
2026-01-02 00:00:00 UTC
["Acme"]
["MIT"]
>= 2.7
{"source_code_uri"=>"https://github.com/acme/ui"}
rack (~> 2.0)
zeitwerk (>= 1.a)
[false, true]
true`
	lines := strings.Split(got, "\n")
	if len(lines) > 2 {
		before, after, _ := strings.Cut(lines[2], ":0x")
		_, after, _ = strings.Cut(after, " ")
		lines[2] = before + ":0x0 " + after
	}
	if got = strings.Join(lines, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRubyLoadsASpecsIndexThatWeWrite(t *testing.T) {
	t.Parallel()
	var all []Tuple
	for i := range 300 {
		all = append(all, Tuple{fmt.Sprint("gem-", i), fmt.Sprint("1.", i), []string{"ruby", "java"}[i%2]})
	}
	m := NewMarshaller()
	m.Tuples(all)
	got := ruby(t, `all = Marshal.load($stdin.binmode.read)
		puts all.size, all[299].map(&:to_s).inspect, all.all? { |n, v, p| n.encoding == Encoding::UTF_8 && v.is_a?(Gem::Version) && p }`, m.Out)
	if want := "300\n[\"gem-299\", \"1.299\", \"java\"]\ntrue"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVersionsAndPlatformsAreWhatRubyGemsTakesThemFor(t *testing.T) {
	t.Parallel()
	versions := []string{"0", "0.a", "1", "1.0", "1.0.0", "1.0.1", "1.0.a", "1.a", "1.0.a.2", "1.0.b1", "1.0.rc10", "1.0.rc2", "1.10", "1.9", "2.0.0.pre.1", "10", "1.0.0.0.1", "007", "1.99999999999999999999999", "1.A"}
	platforms := []string{"java", "jruby", "x86-linux", "i686-linux", "x86_64-linux", "x86_64-linux-musl", "x86_64-linux-gnu", "arm-linux-gnueabihf", "x86_64-darwin-19", "universal-darwin", "x86-mswin32-80", "x64-mingw32", "x64-mingw-ucrt", "x86-mingw32", "mswin32", "x86-freebsd13", "x86_64-openbsd7.3", "dotnet4.0", "something", "x86-solaris2.10", "amd64-freebsd-13"}
	got := ruby(t, `v, p = $stdin.read.split("\n").map(&:split)
		v.each { |a| puts v.map { |b| Gem::Version.new(a) <=> Gem::Version.new(b) }.join(" ") }
		p.each { |s| x = Gem::Platform.new(s); puts [x.cpu, x.os, x.version].inspect.gsub("nil", '""') }`,
		[]byte(strings.Join(versions, " ")+"\n"+strings.Join(platforms, " ")))
	var want []string
	for _, a := range versions {
		var row []string
		for _, b := range versions {
			row = append(row, fmt.Sprint(CompareVersions(a, b)))
		}
		want = append(want, strings.Join(row, " "))
	}
	for _, s := range platforms {
		p := ParsePlatform(s)
		want = append(want, fmt.Sprintf("[%q, %q, %q]", p.cpu, p.os, p.version))
	}
	for i, line := range strings.Split(got, "\n") {
		if line != want[i] {
			t.Errorf("line %d (%s): ruby %s, we %s", i, append(versions, platforms...)[i], line, want[i])
		}
	}
}

func TestAGemIsReadAndItsHooksAreKnown(t *testing.T) {
	t.Parallel()
	s, inv, err := ReadGem(bytes.NewReader(gemtest.Gem{
		Name: "ui", Version: "1.0.0", Platform: "java", Dependencies: map[string]string{"rack": ">= 2"}, Extensions: []string{"ext/extconf.rb", "Rakefile"},
		Files: map[string]string{"ext/extconf.rb": "x", "lib/rubygems_plugin.rb": "y", "lib/ui.rb": "z"},
	}.Bytes()), safearchive.PackageLimits(), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if s.FullName() != "ui-1.0.0-java" || len(inv.Files) != 3 || len(inv.Signals.Dependencies) != 1 || inv.Signals.Dependencies[0].Name != "rack" {
		t.Errorf("got %s with %d files and %v", s.FullName(), len(inv.Files), inv.Signals.Dependencies)
	}
	var got []string
	for _, h := range inv.Hooks {
		got = append(got, h.Name+": "+h.Command+" "+strings.Join(h.Files, ","))
	}
	want := "extension: rake -f Rakefile |plugin: require lib/rubygems_plugin.rb lib/rubygems_plugin.rb|extension: ruby ext/extconf.rb && make ext/extconf.rb"
	if strings.Join(got, "|") != want {
		t.Errorf("the hooks are %q", got)
	}
}

func TestHostileGemsAreRefused(t *testing.T) {
	t.Parallel()
	plain := gemtest.Gem{Name: "ui", Version: "1.0.0"}
	with := func(change func(*gemtest.Gem)) []byte {
		g := plain
		change(&g)
		return g.Bytes()
	}
	spec := func(old, new string) []byte {
		return with(func(g *gemtest.Gem) { g.Metadata = gemtest.Gzip([]byte(strings.Replace(g.YAML(), old, new, 1))) })
	}
	for _, c := range []struct {
		name string
		gem  []byte
		code string
	}{
		{"no gem at all", []byte("hello"), "archive-malformed"},
		{"an object of another class", spec("homepage: https", "homepage: !ruby/object:Gem::Installer\n  i: x\nhomepage_: https"), "gemspec-invalid"},
		{"code in a tag", spec("summary: Short", "summary: !ruby/object:Kernel {}"), "gemspec-invalid"},
		{"two names", spec("autorequire:", "name: other"), "gemspec-invalid"},
		{"a version with a dash", spec("version: 1.0.0", "version: 1.0.0-1"), "gemspec-invalid"},
		{"a platform that is a version", spec("platform: ruby", "platform: 2.0"), "gemspec-invalid"},
		{"a name with a slash", spec("name: ui", "name: ../ui"), "gemspec-invalid"},
		{"aliases that blow up", with(func(g *gemtest.Gem) { g.Metadata = gemtest.Gzip([]byte(laughs())) }), "gemspec-invalid"},
		{"metadata that unpacks to much", with(func(g *gemtest.Gem) { g.Metadata = gemtest.Gzip(make([]byte, 5<<20)) }), "gemspec-too-large"},
		{"metadata that is not packed", with(func(g *gemtest.Gem) { g.Metadata = []byte(g.YAML()) }), "gem-layout"},
		{"other checksums", with(func(g *gemtest.Gem) {
			g.Checksums = gemtest.Gzip([]byte("SHA256:\n  data.tar.gz: " + strings.Repeat("0", 64) + "\n"))
		}), "gem-checksum"},
		{"checksums of what is not there", with(func(g *gemtest.Gem) {
			g.Checksums = gemtest.Gzip([]byte("SHA512:\n  other.gz: 00\n"))
		}), "gem-checksum"},
		{"a file that leaves its folder", with(func(g *gemtest.Gem) { g.Files = map[string]string{"../../etc/passwd": "x"} }), "archive-path-escape"},
		{"data that is none", with(func(g *gemtest.Gem) { g.Data = []byte("x") }), "archive-malformed"},
		{"a member that no gem has", with(func(g *gemtest.Gem) { g.More = map[string][]byte{"data.tar": []byte("x")} }), "gem-layout"},
		{"a gem behind the gem", append(plain.Bytes(), plain.Bytes()...), "archive-trailing-data"},
	} {
		_, _, err := ReadGem(bytes.NewReader(c.gem), safearchive.PackageLimits(), 4<<20)
		if err == nil || fault.As(err).Code != c.code {
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
		}
	}
}

// laughs are aliases of aliases that stand for billions of texts.
func laughs() string {
	var b strings.Builder
	b.WriteString("--- !ruby/object:Gem::Specification\nname: ui\nversion: '1'\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	b.WriteString("platform: ''\nauthors: *a12\nmetadata: 3\ndescription: {}\nname2: [")
	return b.String()
}

func FuzzGem(f *testing.F) {
	f.Add(gemtest.Gem{Name: "ui", Version: "1.0.0"}.Bytes())
	f.Add(gemtest.Gem{Name: "ui", Version: "1.0.0", Platform: "java", Dependencies: map[string]string{"rack": ">= 2"}, Extensions: []string{"ext/extconf.rb"}}.Bytes())
	limits := safearchive.PackageLimits()
	limits.Packed, limits.Unpacked = 1<<20, 4<<20
	f.Fuzz(func(t *testing.T, data []byte) {
		s, inv, err := ReadGem(bytes.NewReader(data), limits, 1<<20)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Errorf("our failure: %v", err)
			}
			return
		}
		if s.Check() != nil || inv == nil {
			t.Errorf("%+v was let through", s)
		}
	})
}

func FuzzGemspec(f *testing.F) {
	f.Add([]byte(gemtest.Gem{Name: "ui", Version: "1.0.0", Dependencies: map[string]string{"rack": ">= 2"}}.YAML()))
	f.Add([]byte(laughs()))
	f.Add([]byte("--- !ruby/object:Gem::Specification\nname: &1 ui\nversion: *1\nplatform: !ruby/object:Gem::Platform {cpu: x86, os: linux}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSpec(data)
		if err != nil {
			return
		}
		m := NewMarshaller()
		m.Specification(s)
	})
}
