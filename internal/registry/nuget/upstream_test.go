package nuget_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nugettest"
)

// feed is a static upstream in the form of nuget.org's, with a page of its own and gzip that nobody asked for.
type feed struct {
	*httptest.Server
	files  map[string]string
	asked  atomic.Int64 // files
	down   atomic.Bool
	packed bool
}

func newFeed(t *testing.T, packed bool) *feed {
	t.Helper()
	f := &feed{files: map[string]string{}, packed: packed}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := f.files[r.URL.Path]
		switch {
		case f.down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case !ok:
			http.NotFound(w, r)
		case f.packed && strings.HasSuffix(r.URL.Path, ".json"):
			z := gzip.NewWriter(w)
			fmt.Fprint(z, body)
			z.Close()
		default:
			if strings.HasSuffix(r.URL.Path, ".nupkg") {
				f.asked.Add(1)
			}
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(f.Close)
	f.files["/v3/index.json"] = fmt.Sprintf(`{"version": "3.0.0", "resources": [
		{"@id": "%[1]s/v3/old/", "@type": "RegistrationsBaseUrl"}, {"@id": "%[1]s/v3/reg-gz-semver2/", "@type": ["RegistrationsBaseUrl/3.6.0"]}]}`, f.URL)
	return f
}

// offer lists versions of Their.Lib: those before the last in a page of their own.
func (f *feed) offer(t *testing.T, published map[string]time.Time, order ...string) {
	t.Helper()
	var leaves []string
	for _, v := range order {
		at, listed := published[v].Format("2006-01-02T15:04:05.12+00:00"), true
		if published[v].IsZero() {
			at, listed = "1900-01-01T00:00:00+00:00", false
		}
		path := "/files/their.lib." + v + ".nupkg"
		f.files[path] = string(nugettest.Package{ID: "Their.Lib", Version: v}.Bytes())
		leaves = append(leaves, fmt.Sprintf(`{"commitTimeStamp": "2026-03-01T11:00:00Z", "packageContent": "%s", "catalogEntry": {"id": "Their.Lib", "version": %q, "authors": ["them"],
			"listed": %t, "published": %q, "tags": "x y", "description": "<b>", "dependencyGroups": {"targetFramework": "net45", "dependencies": [{"id": "Dep", "range": "[1.0.0, )"}]}}}`, f.URL+path, v, listed, at))
	}
	n := len(leaves) - 1
	f.files["/v3/reg-gz-semver2/their.lib/page/a.json"] = `{"items": [` + strings.Join(leaves[:n], ",") + `]}`
	f.files["/v3/reg-gz-semver2/their.lib/index.json"] = fmt.Sprintf(`{"items": [{"@id": "%s/v3/reg-gz-semver2/their.lib/page/a.json"}, {"@id": "x", "items": [%s]}]}`, f.URL, leaves[n])
}

// everywhere is a cooldown of every name.
type everywhere time.Duration

func (e everywhere) Cooldown(context.Context, string, string) (time.Duration, error) {
	return time.Duration(e), nil
}

func TestAnUpstreamsPackagesAreListedAndFetchedOnce(t *testing.T) {
	t.Parallel()
	for _, packed := range []bool{false, true} {
		f := newFeed(t, packed)
		f.offer(t, map[string]time.Time{"1.0.0": day.AddDate(0, -2, 0), "1.1.0": day.AddDate(0, -1, 0)}, "1.0.0", "1.1.0")
		in := start(t, []string{f.URL + "/v3"})
		in.get(t, "v3/flat/Their.Lib/index.json").want(t, 200, `["1.0.0","1.1.0"]`)
		in.get(t, "v3/registration-gz-semver2/their.lib/index.json").want(t, 200, `"id":"Their.Lib"`, `"authors":"them"`, `"tags":["x y"]`, `"range":"[1.0.0, )"`,
			in.url+"v3/flat/their.lib/1.1.0/their.lib.1.1.0.nupkg").lacks(t, f.URL)
		for range 2 {
			got := in.get(t, "v3/flat/their.lib/1.1.0/their.lib.1.1.0.nupkg").want(t, 200)
			if !bytes.Equal(got.body, []byte(f.files["/files/their.lib.1.1.0.nupkg"])) {
				t.Fatal("it is another file")
			}
		}
		if f.asked.Load() != 1 {
			t.Errorf("the upstream was asked %d times", f.asked.Load())
		}
		in.get(t, "v3/flat/their.lib/1.1.0/their.lib.nuspec").want(t, 200, "<id>Their.Lib</id>")
		in.get(t, "v3/query?q=their").want(t, 200, `"version":"1.1.0"`, `"verified":false`)
		statements, err := in.Record.About(t.Context(), "pkg:nuget/their.lib@1.1.0", -1, 10)
		if err != nil || len(statements) < 2 || statements[0].PredicateType != evidence.PublicationType {
			t.Errorf("the record has %d statements, %v", len(statements), err)
		}
		in.get(t, "v3/flat/nobody/index.json").want(t, 404)
		in.get(t, "v3/flat/their.lib/9.0.0/their.lib.9.0.0.nupkg").want(t, 404)
	}
}

func TestANameThatIsOwnedHereIsNotAskedForThere(t *testing.T) {
	t.Parallel()
	f := newFeed(t, false)
	f.offer(t, map[string]time.Time{"9.9.8": day, "9.9.9": day}, "9.9.8", "9.9.9")
	in := start(t, []string{f.URL + "/v3"})
	accounttest.Check(t, in.Accounts.ClaimNamespace(t.Context(), in.Admin, "acme", purl.NuGet, "their.*", account.Public))
	in.get(t, "v3/flat/their.lib/index.json").want(t, 404)
	in.push(t, "alice", "api/v2/package", pack(t, "Their.Lib", "1.0.0", "")).want(t, 201)
	in.get(t, "v3/flat/their.lib/index.json").want(t, 200, `["1.0.0"]`)
	in.get(t, "v3/flat/their.lib/9.9.9/their.lib.9.9.9.nupkg").want(t, 404)
	if f.asked.Load() != 0 {
		t.Error("the upstream was asked")
	}
}

func TestRecallsStopWhatAnUpstreamOffers(t *testing.T) {
	t.Parallel()
	f := newFeed(t, false)
	f.offer(t, map[string]time.Time{"1.0.0": day.AddDate(0, -2, 0), "1.1.0": day.AddDate(0, -1, 0)}, "1.0.0", "1.1.0")
	in := start(t, []string{f.URL + "/v3"})
	in.get(t, "v3/flat/their.lib/1.1.0/their.lib.1.1.0.nupkg").want(t, 200)
	for _, v := range []string{"1.1.0", "1.0.0"} { // kept, and never fetched
		in.recall(t, "pkg:nuget/their.lib@"+v)
		in.get(t, "v3/flat/their.lib/"+v+"/their.lib."+v+".nupkg").want(t, 403, "403 pkg:nuget/their.lib@"+v+" was recalled: steals")
		in.get(t, "v3/flat/their.lib/index.json").lacks(t, `"`+v+`"`)
	}
	if f.asked.Load() != 1 {
		t.Error("a recalled version was fetched")
	}
}

func TestUnlistingAVersionUpstreamMakesItNoOlder(t *testing.T) {
	t.Parallel()
	f := newFeed(t, false)
	// 1.1.0 was unlisted, an hour ago: nuget.org says that it is from 1900
	f.offer(t, map[string]time.Time{"1.0.0": day.AddDate(0, -2, 0), "1.2.0": day.Add(-time.Minute)}, "1.0.0", "1.1.0", "1.2.0")
	in := start(t, []string{f.URL + "/v3"})
	in.core.WithCooldowns(everywhere(24*time.Hour), clock.Func(in.Now))
	in.get(t, "v3/flat/their.lib/index.json").want(t, 200, `["1.0.0"]`)
	in.get(t, "v3/flat/their.lib/1.1.0/their.lib.1.1.0.nupkg").want(t, 403, "was published less than 24h ago")
	in.get(t, "v3/flat/their.lib/1.2.0/their.lib.1.2.0.nupkg").want(t, 403, "was published less than 24h ago")
	if f.asked.Load() != 0 {
		t.Error("a version that is too young was fetched")
	}
	in.Pass(25 * time.Hour)
	in.get(t, "v3/flat/their.lib/index.json").want(t, 200, `["1.0.0","1.1.0","1.2.0"]`)
	in.get(t, "v3/registration-gz-semver2/their.lib/1.1.0.json").want(t, 200, `"listed":false`)
}

func TestAnUpstreamThatIsAwayIsSaidAndWhatItSaidGoesOn(t *testing.T) {
	t.Parallel()
	f := newFeed(t, false)
	f.offer(t, map[string]time.Time{"1.0.0": day.AddDate(0, -2, 0), "1.1.0": day.AddDate(0, -1, 0)}, "1.0.0", "1.1.0")
	in := start(t, []string{f.URL + "/v3"})
	in.get(t, "v3/flat/their.lib/1.0.0/their.lib.1.0.0.nupkg").want(t, 200)
	f.down.Store(true)
	in.Pass(time.Hour)
	got := in.get(t, "v3/flat/their.lib/index.json").want(t, 200, `["1.0.0","1.1.0"]`)
	if !strings.Contains(got.Header.Get("X-NuGet-Warning"), "what it offered at 2026-03-01 12:00:00 UTC is shown") {
		t.Errorf("the client is warned with %q", got.Header.Get("X-NuGet-Warning"))
	}
	in.get(t, "v3/flat/their.lib/1.0.0/their.lib.1.0.0.nupkg").want(t, 200)
	in.get(t, "v3/flat/their.lib/1.1.0/their.lib.1.1.0.nupkg").want(t, 503)
	in.get(t, "v3/flat/other.lib/index.json").want(t, 503)
	f.down.Store(false)
	in.Pass(time.Hour)
	if got := in.get(t, "v3/flat/their.lib/index.json").want(t, 200); got.Header.Get("X-NuGet-Warning") != "" {
		t.Error("the warning stays when the upstream is back")
	}
}

func TestAFileThatChangesUpstreamIsNotServedInPlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	f := newFeed(t, false)
	f.offer(t, map[string]time.Time{"1.0.0": day.AddDate(0, -2, 0), "1.1.0": day.AddDate(0, -1, 0)}, "1.0.0", "1.1.0")
	in := start(t, []string{f.URL + "/v3"})
	first := in.get(t, "v3/flat/their.lib/1.0.0/their.lib.1.0.0.nupkg").want(t, 200).body
	f.files["/files/their.lib.1.0.0.nupkg"] = string(nugettest.Package{ID: "Their.Lib", Version: "1.0.0", More: "<title>evil</title>"}.Bytes())
	if got := in.get(t, "v3/flat/their.lib/1.0.0/their.lib.1.0.0.nupkg").want(t, 200); !bytes.Equal(got.body, first) {
		t.Error("the changed file was served")
	}
}

func TestWhatIsNoUpstreamIsSaidToBeNone(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]string{
		"no JSON": "<html>", "no registrations": `{"resources": []}`, "elsewhere": `{"resources": [{"@id": "https://elsewhere.example/reg/", "@type": "RegistrationsBaseUrl"}]}`,
	} {
		f := newFeed(t, false)
		f.files["/v3/index.json"] = index
		in := start(t, []string{f.URL + "/v3"})
		if got := in.get(t, "v3/flat/their.lib/index.json"); got.StatusCode != 503 {
			t.Errorf("%s: got %s", name, got.Status)
		}
	}
}
