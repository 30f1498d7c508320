package vuln

import (
	"archive/zip"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

// lodash is GitHub's advisory as osv.dev publishes it, shortened in its details.
const lodash = `{"id": "GHSA-jf85-cpcp-j695", "modified": "2024-02-16T08:19:23Z", "aliases": ["CVE-2019-10744"],
	"summary": "Prototype Pollution in lodash", "details": "Versions of lodash before 4.17.12 are vulnerable.",
	"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:H"}],
	"affected": [{"package": {"ecosystem": "npm", "name": "lodash", "purl": "pkg:npm/lodash"},
		"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "4.17.12"}]}]},
		{"package": {"ecosystem": "Packagist", "name": "elsewhere/lodash"}}],
	"references": [{"type": "WEB", "url": "https://example.org/"}, {"type": "ADVISORY", "url": "https://github.com/advisories/GHSA-jf85-cpcp-j695"}],
	"database_specific": {"cwe_ids": ["CWE-1321", "CWE-20"], "severity": "CRITICAL", "github_reviewed": true}}`

// about makes an advisory about one package.
func about(id, ecosystem, name, rest string) string {
	return fmt.Sprintf(`{"id": %q, "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": %q, "name": %q}, %s}]}`, id, ecosystem, name, rest)
}

func ranged(events string) string {
	return `"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}, {"type": "ECOSYSTEM", "events": [` + events + `]}]`
}

func database(t *testing.T, records ...string) *Database {
	t.Helper()
	var raw [][]byte
	for _, r := range records {
		raw = append(raw, []byte(r))
	}
	d, err := New(raw...)
	check(t, err)
	return d
}

func TestAnAdvisoryTellsWhatGitHubWroteInIt(t *testing.T) {
	t.Parallel()
	got := database(t, lodash).About(purl.NPM, "lodash", "4.17.11")
	if len(got) != 1 {
		t.Fatalf("got %d advisories", len(got))
	}
	v := got[0]
	if v.ID != "GHSA-jf85-cpcp-j695" || v.Summary != "Prototype Pollution in lodash" || v.URL != "https://github.com/advisories/GHSA-jf85-cpcp-j695" ||
		v.Severity != evidence.SeverityCritical || v.Score != 9.1 || !slices.Equal(v.CWEs, []string{"CWE-1321", "CWE-20"}) ||
		!slices.Equal(v.Aliases, []string{"CVE-2019-10744"}) || !slices.Equal(v.Fixed, []string{"4.17.12"}) ||
		!slices.Equal(v.Affected, []evidence.Span{{Before: "4.17.12"}}) {
		t.Errorf("got %+v", v)
	}
}

func TestVersionsAreMatchedAsTheirEcosystemOrdersThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ecosystem, osv, name, spelt string
		events                      string
		in, out                     []string
	}{
		{purl.NPM, "npm", "@acme/ui", "@acme/ui", `{"introduced": "1.2.0"}, {"fixed": "1.10.0"}`,
			[]string{"1.2.0", "1.9.9", "1.10.0-rc.1"}, []string{"1.1.9", "1.10.0", "1.2.0-beta", "2.0.0"}},
		{purl.PyPI, "PyPI", "zope-interface", "Zope.Interface", `{"introduced": "0"}, {"last_affected": "2.0"}`,
			[]string{"0.1", "2.0", "2.0.0", "2.0rc1", "0.1.dev0"}, []string{"2.0.post1", "2.1", "1!1.0"}},
		{purl.Maven, "Maven", "org.acme/ui", "org.acme:ui", `{"introduced": "1.0"}, {"fixed": "1.1"}`,
			[]string{"1.0", "1.0.1", "1.1-alpha-1", "1.1-SNAPSHOT"}, []string{"1.0-rc1", "1.1", "1.1.Final"}},
		{purl.NuGet, "NuGet", "newtonsoft.json", "Newtonsoft.Json", `{"introduced": "0"}, {"fixed": "13.0.1"}`,
			[]string{"12.0.3", "13.0.1-beta1", "9.0.1.0"}, []string{"13.0.1", "13.0.1.0", "13.0.2"}},
		{purl.Gem, "RubyGems", "rack", "rack", `{"introduced": "2.0.0"}, {"fixed": "2.1.4"}, {"introduced": "2.2.0"}, {"fixed": "2.2.3"}`,
			[]string{"2.0.0", "2.1.3", "2.2.0", "2.2.2", "2.2.3.rc1"}, []string{"1.9", "2.1.4", "2.1.10", "2.2.3", "3.0"}},
		{purl.NPM, "npm", "out-of-order", "out-of-order", `{"fixed": "2.0.0"}, {"introduced": "1.0.0"}`, []string{"1.5.0"}, []string{"0.9.0", "2.0.0"}},
	} {
		d := database(t, about("X-1", c.osv, c.spelt, ranged(c.events)))
		for _, v := range c.in {
			if got := d.About(c.ecosystem, c.name, v); len(got) != 1 {
				t.Errorf("%s %s is not affected by %s", c.name, v, c.events)
			}
		}
		for _, v := range c.out {
			if got := d.About(c.ecosystem, c.name, v); len(got) != 0 {
				t.Errorf("%s %s is affected by %s", c.name, v, c.events)
			}
		}
	}
}

func TestSingleVersionsCountWithThoseOfTheRanges(t *testing.T) {
	t.Parallel()
	d := database(t, about("X-1", "PyPI", "a", ranged(`{"introduced": "1.0"}, {"fixed": "1.2"}`)+`, "versions": ["1.0", "1.1", "0.5"]`))
	for version, want := range map[string]int{"1.1": 1, "0.5": 1, "0.5.0": 1, "0.6": 0, "1.2": 0} {
		if got := d.About(purl.PyPI, "a", version); len(got) != want {
			t.Errorf("%s: %d advisories, want %d", version, len(got), want)
		}
	}
	if got, want := d.About(purl.PyPI, "a", "")[0].Affected, []evidence.Span{{From: "1.0", Before: "1.2"}, {From: "0.5", Through: "0.5"}}; !slices.Equal(got, want) {
		t.Errorf("affected %v, want %v: what a range has is not said twice", got, want)
	}
}

func TestAVersionFixesWhatAnAdvisorySaysItFixesUnlessItIsBadItself(t *testing.T) {
	t.Parallel()
	d := database(t,
		about("X-1", "npm", "a", ranged(`{"introduced": "0"}, {"fixed": "1.0.1"}`)),
		about("X-2", "npm", "a", ranged(`{"introduced": "0"}, {"fixed": "1.2.0"}`)),
		about("X-3", "PyPI", "b", ranged(`{"introduced": "0"}, {"fixed": "1.0"}`)))
	for _, c := range []struct {
		ecosystem, name, version string
		want                     string
	}{
		{purl.NPM, "a", "1.0.1", ""}, {purl.NPM, "a", "1.2.0", "X-2"}, {purl.NPM, "a", "1.2.1", ""}, {purl.NPM, "c", "1.2.0", ""},
		{purl.PyPI, "b", "1.0.0", "X-3"}, {purl.PyPI, "b", "", ""}, {purl.OCI, "b", "1.0", ""},
	} {
		if got := d.Fixes(c.ecosystem, c.name, c.version); got != c.want {
			t.Errorf("%s %s fixes %q", c.name, c.version, got)
		}
	}
}

func TestWhatWasWithdrawnSaysNothingAndMalwareIsCritical(t *testing.T) {
	t.Parallel()
	d := database(t, strings.Replace(lodash, `"summary"`, `"withdrawn": "2025-01-01T00:00:00Z", "summary"`, 1),
		about("MAL-2026-1", "npm", "evil", ranged(`{"introduced": "0"}`)))
	if got := d.About(purl.NPM, "lodash", ""); got != nil || d.Mark(purl.NPM, "lodash") != "" {
		t.Errorf("a withdrawn advisory says %v", got)
	}
	if got := d.About(purl.NPM, "evil", "7"); len(got) != 1 || got[0].Severity != evidence.SeverityCritical || got[0].Summary != "MAL-2026-1" {
		t.Errorf("got %+v", got)
	}
}

func TestAScoreIsOfTheNewestVectorThatCanBeRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}, {"type": "CVSS_V3", "score": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`: "critical 9.8",
		`[{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N"}, {"type": "CVSS_V3", "score": "x"}]`:       "moderate 6.9",
		`[{"type": "CVSS_V2", "score": "AV:L/AC:H/Au:N/C:P/I:N/A:N"}]`:                                                                               "low 1.2",
		`[{"type": "Ubuntu", "score": "medium"}]`: "unknown 0",
	} {
		d := database(t, about("X-1", "npm", "a", `"severity": `+text+", "+ranged(`{"introduced": "0"}`)))
		v := d.About(purl.NPM, "a", "")[0]
		if got := fmt.Sprintf("%s %v", v.Severity, v.Score); got != want {
			t.Errorf("%s = %s, want %s", text, got, want)
		}
	}
}

func TestWhatIsNoAdvisoryIsRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "null", "[]", "{}", `{"id": ""}`, `{"id": 7}`, lodash[:len(lodash)-1], `{"id": "x", "modified": "yesterday"}`} {
		_, err := New([]byte(raw))
		wantCode(t, err, "advisory-malformed")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(content), 0o644))
}

func zipOf(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		check(t, err)
		_, err = w.Write([]byte(files[i+1]))
		check(t, err)
	}
	check(t, z.Close())
	return b.String()
}

func TestAFolderIsReadAndReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var log strings.Builder
	write(t, filepath.Join(folder, "2026", "lodash.json"), lodash)
	write(t, filepath.Join(folder, "README.md"), "no advisory")
	write(t, filepath.Join(folder, "broken.json"), "{")
	write(t, filepath.Join(folder, "pypi.zip"), zipOf(t, "X-1.json", about("X-1", "PyPI", "a", ranged(`{"introduced": "0"}`)), "LICENSE", "free"))
	s, err := Open([]string{folder}, DefaultLimits(), slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	before := s.Mark(purl.NPM, "lodash")
	if before == "" || len(s.About(purl.PyPI, "a", "1")) != 1 || !slices.Equal(s.Names(purl.PyPI), []string{"a"}) {
		t.Errorf("not everything was read: %s", &log)
	}
	if !strings.Contains(log.String(), "broken.json") || !strings.Contains(log.String(), `"left out"=1`) {
		t.Errorf("nobody is told of the broken one: %s", &log)
	}
	s.Refresh(t.Context())
	if strings.Count(log.String(), "advisories were read") != 1 {
		t.Errorf("files that did not change are read again: %s", &log)
	}
	write(t, filepath.Join(folder, "X-2.json"), about("X-2", "npm", "lodash", ranged(`{"introduced": "0"}`)))
	s.Refresh(t.Context())
	if got := s.About(purl.NPM, "lodash", "4.17.11"); len(got) != 2 || s.Mark(purl.NPM, "lodash") == before {
		t.Errorf("after a new file: %v", got)
	}
	check(t, os.RemoveAll(folder))
	s.Refresh(t.Context())
	if len(s.About(purl.NPM, "lodash", "4.17.11")) != 2 || !strings.Contains(log.String(), "what was read last stays") {
		t.Errorf("a folder that is away takes away what is known: %s", &log)
	}
	_, err = Open([]string{folder}, DefaultLimits(), slog.New(slog.DiscardHandler))
	wantCode(t, err, "advisories-unreadable")
}

func TestAdvisoriesCostNoMoreThanTheirLimits(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a.zip"), zipOf(t, "1.json", lodash, "2.json", strings.Repeat(" ", 3000)+lodash, "3.json", lodash))
	limits := DefaultLimits()
	limits.Record = 2000
	s, err := Open([]string{folder}, limits, slog.New(slog.DiscardHandler))
	check(t, err)
	if got := s.About(purl.NPM, "lodash", "1.0.0"); len(got) != 1 {
		t.Errorf("the same advisory counts %d times", len(got))
	}
	write(t, filepath.Join(folder, "large.json"), strings.Repeat(" ", 3000)+lodash)
	s, err = Open([]string{folder}, limits, slog.New(slog.DiscardHandler))
	check(t, err)
	if got := s.About(purl.NPM, "lodash", "1.0.0"); len(got) != 1 {
		t.Errorf("beside one that is too long the advisory counts %d times", len(got))
	}
	limits.Records = 2
	_, err = Open([]string{folder}, limits, slog.New(slog.DiscardHandler))
	wantCode(t, err, "advisories-unreadable")
	write(t, filepath.Join(folder, "b.zip"), zipOf(t, "1.json", lodash)[3:])
	_, err = Open([]string{folder}, DefaultLimits(), slog.New(slog.DiscardHandler))
	wantCode(t, err, "advisories-unreadable")
	if !strings.Contains(err.Error(), filepath.Join(folder, "b.zip")) {
		t.Errorf("nobody is told which file it is: %v", err)
	}
}

func FuzzAdvisory(f *testing.F) {
	f.Add([]byte(lodash), "4.17.11")
	f.Add([]byte(about("X-1", "PyPI", "lodash", ranged(`{"introduced": "0"}, {"last_affected": "1!2.0rc1"}`)+`, "versions": ["x", "1"]`)), "1.0")
	f.Add([]byte(about("X-1", "Maven", "a:b", ranged(`{"introduced": "1.0-alpha"}, {"fixed": "1.0.Final"}`))), "1.0-SNAPSHOT")
	f.Fuzz(func(t *testing.T, raw []byte, version string) {
		d, err := New(raw)
		if err != nil {
			if fault.As(err).Code != "advisory-malformed" {
				t.Fatal(err)
			}
			return
		}
		for _, e := range ecosystems {
			for _, name := range d.Names(e.ours) {
				all := d.About(e.ours, name, "")
				if len(all) == 0 || d.Mark(e.ours, name) == "" {
					t.Fatalf("nothing is known of %q", name)
				}
				if some := d.About(e.ours, name, version); len(some) > 0 && d.Fixes(e.ours, name, version) != "" {
					t.Fatalf("%q is affected and fixes", version)
				}
			}
		}
	})
}
