package nuget_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestEveryResourceOfTheServiceIndexAnswers(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "<readme>README.md</readme>", "README.md", "# hi")).want(t, 201)
	var index struct {
		Resources []struct {
			ID   string `json:"@id"`
			Type string `json:"@type"`
		}
	}
	in.get(t, "v3/index.json").want(t, 200).json(t, &index)
	fill := strings.NewReplacer("{id}", "Acme.UI", "{version}", "1.0.0", "{lower_id}", "acme.ui", "{lower_version}", "1.0.0", "{owner}", "acme")
	seen := map[string]bool{}
	for _, r := range index.Resources {
		seen[r.Type] = true
		path := fill.Replace(strings.TrimPrefix(r.ID, in.url))
		switch {
		case strings.HasPrefix(r.Type, "PackagePublish"), strings.HasPrefix(r.Type, "SymbolPackagePublish"):
			in.do(t, "", "PUT", path, nil).want(t, 401)
			continue
		case strings.HasPrefix(r.Type, "PackageBaseAddress"), strings.HasPrefix(r.Type, "RegistrationsBaseUrl"):
			path += "acme.ui/index.json"
		}
		in.get(t, path).want(t, 200)
	}
	for _, t1 := range []string{"RegistrationsBaseUrl/3.6.0", "SearchQueryService/Versioned", "VulnerabilityInfo/6.7.0", "Catalog/3.0.0", "ReadmeUriTemplate/6.13.0"} {
		if !seen[t1] {
			t.Errorf("the service index has no %s", t1)
		}
	}
	if seen["RepositorySignatures/5.0.0"] {
		t.Error("repository signatures are announced over http, which makes clients install nothing")
	}
}

func TestAVersionIsUsedOnceHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package/", pack(t, "Acme.UI", "1.0.0-Beta", "")).want(t, 201)
	for _, spelt := range []string{"1.0.0-Beta", "1.0-beta", "1.00.0.0-BETA", "1.0.0-beta+build"} {
		in.push(t, "alice", "api/v2/package", pack(t, "acme.ui", spelt, "")).want(t, 409, "was published before, and a version is never reused")
	}
	in.get(t, "v3/flat/ACME.UI/index.json").want(t, 200, `{"versions":["1.0.0-beta"]}`)
	in.get(t, "v3/flat/acme.ui/1.0-BETA/acme.ui.1.0.0-beta.nupkg").want(t, 200)
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"version":"1.0.0-Beta"`, `"id":"Acme.UI"`, `"lower":"1.0.0-beta"`)
}

func TestWhoMayPushIsAskedByTheNameInsideThePackage(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "", "api/v2/package", nil).want(t, 401, "needs a token")
	in.push(t, "bob", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 403, "acme")
	in.push(t, "alice", "api/v2/package", pack(t, "Other", "1.0.0", "")).want(t, 403, "hullmark namespace claim nuget other")
	in.push(t, "alice", "api/v2/package", []byte("no package")).want(t, 400)
	in.do(t, "alice", "PUT", "api/v2/package", strings.NewReader("x"), "Content-Type", "application/json").want(t, 400, "multipart form")
}

func TestUnlistedVersionsAreNotProposedAndNamedOnesAreServed(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", v, "")).want(t, 201)
	}
	in.get(t, "v3/query?q=ui").want(t, 200, `"version":"1.1.0"`)
	in.do(t, "bob", "DELETE", "api/v2/package/Acme.UI/1.1.0", nil).want(t, 403)
	in.do(t, "alice", "DELETE", "api/v2/package/Acme.UI/1.1.0.0", nil).want(t, 204)
	in.get(t, "v3/query?q=ui").want(t, 200, `"version":"1.0.0"`).lacks(t, "1.1.0")
	in.get(t, "v3/flat/acme.ui/index.json").want(t, 200, "1.1.0")
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"listed":false,"published":"1900-01-01T00:00:00+00:00"`)
	in.do(t, "alice", "POST", "api/v2/package/Acme.UI/1.1.0", nil).want(t, 200)
	in.get(t, "v3/query?q=ui").want(t, 200, `"version":"1.1.0"`, `"verified":true`, `"owners":["acme"]`)
}

func TestManyVersionsComeInPages(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	for i := range 66 {
		in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", fmt.Sprintf("1.%d.0", i), "")).want(t, 201)
	}
	type page struct {
		ID           string `json:"@id"`
		Lower, Upper string
		Count        int
		Items        []any
	}
	var index struct {
		Count int
		Items []page
	}
	in.get(t, "v3/registration-gz-semver2/acme.ui/index.json").want(t, 200).json(t, &index)
	if index.Count != 2 || index.Items[0].Count != 64 || index.Items[1].Lower != "1.64.0" || index.Items[0].Items != nil {
		t.Fatalf("got %+v", index)
	}
	var last page
	in.get(t, strings.TrimPrefix(index.Items[1].ID, in.url)).want(t, 200).json(t, &last)
	if len(last.Items) != 2 || last.Upper != "1.65.0" {
		t.Fatalf("got %+v", last)
	}
	in.get(t, "v3/registration-gz-semver2/acme.ui/page/1.0.0/1.5.0.json").want(t, 404, "has no page")
}

func TestOldClientsAreNotShownWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.1.0-beta.1+x", "")).want(t, 201)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.2.0", `<dependencies><dependency id="Acme.Core" version="[1.0.0-a.b,)"/></dependencies>`)).want(t, 201)
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"upper":"1.0.0"`)
	in.get(t, "v3/registration-gz-semver2/acme.ui/index.json").want(t, 200, `"version":"1.1.0-beta.1+x"`, `"range":"[1.0.0-a.b, )"`)
	in.get(t, "v3/query?q=ui&prerelease=true").want(t, 200, `"version":"1.0.0"`).lacks(t, "1.2.0")
	in.get(t, "v3/query?q=ui&prerelease=true&semVerLevel=2.0.0").want(t, 200, `"version":"1.2.0"`, "1.1.0-beta.1")
	in.get(t, "v3/autocomplete?id=Acme.UI&prerelease=true&semVerLevel=2.0.0").want(t, 200, `"data":["1.0.0","1.1.0-beta.1+x","1.2.0"]`)
	in.get(t, "v3/autocomplete?q=acme").want(t, 200, `"data":["Acme.UI"]`)
}

func TestPrivatePackagesAreNotTold(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Hush.Tool", "1.0.0", "")).want(t, 201)
	for _, path := range []string{"v3/query?q=tool", "v3/autocomplete?q=tool", "v3/autocomplete?id=hush.tool", "v3/catalog/index.json", "profiles/acme"} {
		in.get(t, path).want(t, 200).lacks(t, "ush.")
		if path != "v3/autocomplete?id=hush.tool" {
			in.do(t, "alice", "GET", path, nil).want(t, 200, "ush.")
		}
	}
	for _, path := range []string{"v3/flat/hush.tool/index.json", "v3/flat/hush.tool/1.0.0/hush.tool.1.0.0.nupkg", "v3/registration/hush.tool/index.json", "packages/hush.tool/1.0.0"} {
		if got := in.get(t, path).StatusCode; got != 401 && got != 404 {
			t.Errorf("%s: got %d", path, got)
		}
	}
}

func TestRecalledAndYoungVersionsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	in.Pass(48 * time.Hour)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.1.0", "")).want(t, 201)
	in.get(t, "v3/flat/acme.ui/index.json").want(t, 200, "1.1.0")
	accounttest.Check(t, in.Accounts.SetCooldown(t.Context(), in.Admin, purl.NuGet, "acme.*", 24*time.Hour))
	in.get(t, "v3/flat/acme.ui/index.json").want(t, 200, `["1.0.0"]`)
	in.get(t, "v3/flat/acme.ui/1.1.0/acme.ui.1.1.0.nupkg").want(t, 403, "403 pkg:nuget/acme.ui@1.1.0 was published less than 24h ago")
	in.get(t, "v3/flat/acme.ui/1.1.0/acme.ui.nuspec").want(t, 403)
	in.Pass(25 * time.Hour)
	in.get(t, "v3/flat/acme.ui/index.json").want(t, 200, `["1.0.0","1.1.0"]`)
	in.recall(t, "pkg:nuget/acme.ui@1.1.0")
	in.get(t, "v3/flat/acme.ui/index.json").want(t, 200, `["1.0.0"]`)
	in.get(t, "v3/flat/acme.ui/1.1.0/acme.ui.1.1.0.nupkg").want(t, 403, "403 pkg:nuget/acme.ui@1.1.0 was recalled: steals")
	in.recall(t, "pkg:nuget/acme.ui@1.0.0")
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 403, "was recalled: steals")
}

func TestDeprecationIsShownInRegistrations(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	set := func(body string) reply {
		return in.do(t, "alice", "PUT", "api/v2/package/Acme.UI/deprecations", strings.NewReader(body), "Content-Type", "application/json")
	}
	set(`{"versions": ["1.0"], "isLegacy": true, "alternatePackageId": "Acme.New", "alternatePackageVersion": "2.0", "message": "moved; see there"}`).want(t, 204)
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"deprecation":{"reasons":["Legacy"],"message":"moved; see there","alternatePackage":{"id":"Acme.New","range":"[2.0.0, )"}}`)
	set(`{"versions": ["1.0"]}`).want(t, 204)
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200).lacks(t, "deprecation")
	accounttest.Check(t, in.core.Deprecate(t.Context(), in.Admin, purl.NuGet, "acme.ui", "1.0.0", "do not use"))
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"deprecation":{"reasons":["Other"],"message":"do not use"}`)
	set(`{"versions": []}`).want(t, 400)
	set(`{"versions": ["9.0"]}`).want(t, 404)
}

func TestSymbolsComeAfterTheirPackageAndStayBesideIt(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	symbols := pack(t, "Acme.UI", "1.0.0", "", "lib/net45/Acme.UI.pdb", "BSJB")
	in.push(t, "alice", "api/v2/symbolpackage/", symbols).want(t, 404, "push the package before its symbols")
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	in.push(t, "alice", "api/v2/symbolpackage", pack(t, "Acme.UI", "1.0.0", "")).want(t, 400, "has no .pdb file")
	in.push(t, "alice", "api/v2/symbolpackage", symbols).want(t, 201)
	in.push(t, "alice", "api/v2/symbolpackage", symbols).want(t, 409)
	if got := in.get(t, "v3/flat/acme.ui/1.0.0/acme.ui.1.0.0.snupkg").want(t, 200); !bytes.Equal(got.body, symbols) {
		t.Error("the symbols came back as something else")
	}
	in.get(t, "v3/registration/acme.ui/index.json").want(t, 200, `"count":1,"lower":"1.0.0","upper":"1.0.0"`)
}

func TestAVerificationKeyWorksOnce(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	in.do(t, "bob", "POST", "api/v2/package/create-verification-key/Acme.UI/1.0.0", nil).want(t, 403)
	made := func() string {
		var key struct{ Key string }
		in.do(t, "alice", "POST", "api/v2/package/create-verification-key/Acme.UI/1.0.0", nil).want(t, 200).json(t, &key)
		return key.Key
	}
	use := func(key, version string) reply {
		return in.do(t, "", "GET", "api/v2/verifykey/acme.ui/"+version, nil, "X-NuGet-ApiKey", key)
	}
	key := made()
	use(key, "1.0.0").want(t, 200)
	use(key, "1.0.0").want(t, 403)
	use(made(), "2.0.0").want(t, 403)
	key = made()
	in.Pass(2 * time.Hour)
	use(key, "1.0.0").want(t, 403)
}

func TestPagesForPeopleShowTextAndNoMarkup(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "<title>&lt;script&gt;x</title><projectUrl>javascript:alert(1)</projectUrl>")).want(t, 201)
	got := in.get(t, "packages/Acme.UI/1.0.0").want(t, 200, "dotnet add package Acme.UI", "hullmark trace")
	got.lacks(t, "<script").lacks(t, "javascript:")
	if got.Header.Get("Content-Security-Policy") == "" {
		t.Error("the page has no policy")
	}
	in.get(t, "packages/acme.ui/1.0.0/report").want(t, 200, "hullmark recall")
	in.get(t, "profiles/acme").want(t, 200, "Acme.UI")
	in.get(t, "v3/catalog/acme.ui/1.0.0.json").want(t, 200, `"packageHashAlgorithm":"SHA512"`)
	in.get(t, "v3/catalog/acme.ui/index.json").want(t, 200, `"nuget:version":"1.0.0"`)
}

func TestPagesAreAnsweredFromMemoryWithATag(t *testing.T) {
	t.Parallel()
	in := start(t, nil)
	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.0.0", "")).want(t, 201)
	first := in.get(t, "v3/registration/acme.ui/index.json").want(t, 200)
	in.do(t, "", "GET", "v3/registration/acme.ui/index.json", nil, "If-None-Match", first.Header.Get("Etag"), "Accept-Encoding", "identity").want(t, http.StatusOK)
	plain := in.do(t, "", "GET", "v3/registration/acme.ui/index.json", nil, "Accept-Encoding", "identity").want(t, 200)
	in.do(t, "", "GET", "v3/registration/acme.ui/index.json", nil, "If-None-Match", plain.Header.Get("Etag"), "Accept-Encoding", "identity").want(t, http.StatusNotModified)
	packed := in.do(t, "", "GET", "v3/registration-gz/acme.ui/index.json", nil, "Accept-Encoding", "gzip").want(t, 200)
	if packed.Header.Get("Content-Encoding") != "gzip" {
		t.Error("a client that takes gzip gets none")
	}
}
