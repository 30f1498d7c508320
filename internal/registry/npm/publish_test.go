package npm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

var demo = map[string]any{"name": "wbdemo", "version": "1.0.0"}

const demoJSON = `{"name":"wbdemo","version":"1.0.0"}`

func TestPublicationBecomesPartOfTheRecord(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	p := purl.New(purl.NPM, "@acme/ui", "1.0.0")
	statements, err := in.core.Record().About(t.Context(), string(p), -1, 10)
	accounttest.Check(t, err)
	var types []string
	for _, s := range statements {
		types = append(types, s.PredicateType)
	}
	if got := strings.Join(types, " "); got != strings.Join([]string{evidence.PublicationType, evidence.DecisionType, evidence.ContentsType}, " ") {
		t.Fatalf("the record says %s", got)
	}
	pub, err := evidence.Decode[evidence.Publication](statements[0])
	accounttest.Check(t, err)
	if pub.Actor.Account != "alice" || pub.Actor.Credential == "" || pub.Actor.AddressHash == "" || pub.MediaType != "application/gzip" {
		t.Errorf("publication is %+v", pub)
	}
	contents, err := evidence.Decode[evidence.Contents](statements[2])
	accounttest.Check(t, err)
	inv, err := in.core.Record().Inventory(t.Context(), contents.Inventory)
	accounttest.Check(t, err)
	want := digest.FromBytes([]byte("module.exports = '@acme/ui1.0.0'"))
	if len(inv.Files) != 2 || inv.Files[0].Path != "package/index.js" || inv.Files[0].SHA256 != want || inv.Files[0].Mode != 0o644 {
		t.Errorf("inventory is %+v", inv)
	}
}

func TestFirstVersionIsLatestWhateverItsTag(t *testing.T) {
	t.Parallel()
	in := start(t)
	tarball := tgz(t, map[string]string{"package/package.json": demoJSON})
	in.do(t, "alice", "PUT", "wbdemo", bytes.NewReader(documentBody(t, demo, tarball, "next"))).want(t, 201)
	in.do(t, "", "GET", "-/package/wbdemo/dist-tags", nil).want(t, 200, `{"latest":"1.0.0","next":"1.0.0"}`)
	for tag, code := range map[string]string{"latest": "tag-required", "none": "version-unknown"} {
		if r := in.do(t, "alice", "DELETE", "-/package/wbdemo/dist-tags/"+tag, nil); !strings.Contains(string(r.body), code) {
			t.Errorf("removing %s: %s", tag, r.body)
		}
	}
	in.do(t, "alice", "PUT", "-/package/wbdemo/dist-tags/1.x", strings.NewReader(`"1.0.0"`)).want(t, 400, "tag-invalid")
	in.do(t, "alice", "PUT", "-/package/wbdemo/dist-tags/old", strings.NewReader(`"latest"`)).want(t, 400, "version-invalid")
	in.do(t, "carol", "PUT", "-/package/wbdemo/dist-tags/old", strings.NewReader(`"1.0.0"`)).want(t, 403)
}

// member is an entry of a hostile archive.
type member struct {
	name, link, content string
	kind                byte
}

func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, m := range members {
		if m.kind == 0 {
			m.kind = tar.TypeReg
		}
		accounttest.Check(t, w.WriteHeader(&tar.Header{Name: m.name, Linkname: m.link, Typeflag: m.kind, Mode: 0o644, Size: int64(len(m.content))}))
		_, err := w.Write([]byte(m.content))
		accounttest.Check(t, err)
	}
	accounttest.Check(t, w.Close())
	accounttest.Check(t, z.Close())
	return b.Bytes()
}

func TestHostileTarballsAreRefusedAndRecorded(t *testing.T) {
	t.Parallel()
	in := start(t)
	manifest := member{name: "package/package.json", content: demoJSON}
	good := archive(t, manifest)
	for _, c := range []struct {
		name    string
		tarball []byte
		code    string
	}{
		{"two top folders", archive(t, manifest, member{name: "other/package.json", content: `{"name":"evil"}`}), "tarball-layout"},
		{"a file beside the folder", archive(t, manifest, member{name: "x"}), "tarball-layout"},
		{"package.json in capitals too", archive(t, manifest, member{name: "package/Package.json", content: demoJSON}), "tarball-layout"},
		{"package.json as a link", archive(t, member{name: "package/a.json", content: demoJSON},
			member{name: "package/package.json", link: "a.json", kind: tar.TypeSymlink}), "tarball-layout"},
		{"package.json as a hard link", archive(t, member{name: "package/a.json", content: demoJSON},
			member{name: "package/package.json", link: "package/a.json", kind: tar.TypeLink}), "tarball-layout"},
		{"no package.json", archive(t, member{name: "package/index.js"}), "tarball-layout"},
		{"package.json that is a list", archive(t, member{name: "package/package.json", content: `[]`}), "tarball-layout"},
		{"package.json twice", archive(t, manifest, manifest), "archive-duplicate-entry"},
		{"a path that leaves", archive(t, manifest, member{name: "package/../../x"}), "archive-path-escape"},
		{"a link that leaves", archive(t, manifest, member{name: "package/x", link: "../../etc/passwd", kind: tar.TypeSymlink}), "archive-link-escape"},
		{"a device", archive(t, manifest, member{name: "package/x", kind: tar.TypeChar}), "archive-special-file"},
		{"half a tarball", good[:len(good)/2], "archive-malformed"},
		{"no tarball", []byte("hello"), "archive-malformed"},
		{"nothing", archive(t), "archive-empty"},
		{"another package", archive(t, member{name: "package/package.json", content: `{"name":"other","version":"1.0.0"}`}), "manifest-confusion"},
		{"another version", archive(t, member{name: "package/package.json", content: `{"name":"wbdemo","version":"1.0.1"}`}), "manifest-confusion"},
		{"a hidden install script", archive(t, member{name: "package/package.json",
			content: `{"name":"wbdemo","version":"1.0.0","scripts":{"postinstall":"evil"}}`}), "manifest-confusion"},
		{"a hidden dependency", archive(t, member{name: "package/package.json",
			content: `{"name":"wbdemo","version":"1.0.0","dependencies":{"evil":"*"}}`}), "manifest-confusion"},
	} {
		r := in.do(t, "alice", "PUT", "wbdemo", bytes.NewReader(documentBody(t, demo, c.tarball, "latest")))
		if r.StatusCode < 400 || r.StatusCode >= 500 || !strings.Contains(string(r.body), `"code":"`+c.code+`"`) {
			t.Errorf("%s: answered %d %s, want code %s", c.name, r.StatusCode, r.body, c.code)
		}
		if got := in.decisions(t, c.code); got == 0 {
			t.Errorf("%s: the refusal is not in the record", c.name)
		}
	}
	in.do(t, "", "GET", "wbdemo", nil).want(t, 404)
}

// decisions counts the recorded refusals with a code.
func (in *instance) decisions(t testing.TB, code string) int {
	t.Helper()
	var n int
	accounttest.Check(t, in.core.Record().DB().Query().QueryRowContext(t.Context(),
		`SELECT count(*) FROM decision WHERE code = $1 AND verdict = 'deny' AND account <> ''`, code).Scan(&n))
	return n
}

func TestPublishBodiesThatAreWrong(t *testing.T) {
	t.Parallel()
	in := start(t)
	good := string(publishBody(t, demo, map[string]string{"package/package.json": demoJSON}))
	change := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for _, c := range []struct{ name, body, code string }{
		{"nothing", "", "body-malformed"},
		{"no JSON", "hello", "body-malformed"},
		{"half of it", good[:len(good)/2], "body-malformed"},
		{"no versions and no tarball", `{"name":"wbdemo"}`, "name-unknown"},
		{"a tarball that is not base64", change(`"data":"`, `"data":"!`), "body-malformed"},
		{"another name", change(`"name":"wbdemo"`, `"name":"other"`), "body-malformed"},
		{"a tarball of another name", change(`"wbdemo-1.0.0.tgz"`, `"wbdemo-1.0.1.tgz"`), "body-malformed"},
		{"a provenance bundle", change(`"wbdemo-1.0.0.tgz"`, `"wbdemo-1.0.0.sigstore"`), "provenance-unconfigured"},
		{"a tag for another version", change(`"latest":"1.0.0"`, `"latest":"0.9.0"`), "tag-invalid"},
		{"a tag that is a range", change(`"latest":"1.0.0"`, `"1.x":"1.0.0"`), "tag-invalid"},
		{"two versions", change(`"versions":{`, `"versions":{"2.0.0":{},`), "body-malformed"},
		{"a version that is none", strings.ReplaceAll(good, "1.0.0", "1.0"), "version-invalid"},
		{"another integrity", change(`"version":"1.0.0"`, `"version":"1.0.0","dist":{"integrity":"sha512-AAAA"}`), "manifest-confusion"},
		{"another shasum", change(`"version":"1.0.0"`, `"version":"1.0.0","dist":{"shasum":"00"}`), "manifest-confusion"},
		{"dependencies that are a list", change(`"version":"1.0.0"`, `"version":"1.0.0","dependencies":["a"]`), "package-json-invalid"},
	} {
		r := in.do(t, "alice", "PUT", "wbdemo", strings.NewReader(c.body))
		if r.StatusCode < 400 || r.StatusCode >= 500 || !strings.Contains(string(r.body), `"code":"`+c.code+`"`) {
			t.Errorf("%s: answered %d %s, want code %s", c.name, r.StatusCode, r.body, c.code)
		}
	}
	in.do(t, "alice", "PUT", "wbdemo", strings.NewReader(good)).want(t, 201)
	in.do(t, "alice", "PUT", "wbdemo", strings.NewReader(good)).want(t, 409, "You cannot publish over the previously published versions: 1.0.0.", "version-exists")
	in.do(t, "", "PUT", "wbdemo", strings.NewReader(good)).want(t, 401)
	in.do(t, "mallory", "PUT", "wbdemo", strings.NewReader(good)).want(t, 403, "namespace-not-yours")
	if in.decisions(t, "namespace-not-yours") != 1 {
		t.Error("mallory's attempt is not in the record")
	}
	in.do(t, "alice", "PUT", "Upper", strings.NewReader(good)).want(t, 400, "name-invalid")
}

func TestOneOfManyPublishersOfAVersionWins(t *testing.T) {
	t.Parallel()
	in := start(t)
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		body := publishBody(t, demo, map[string]string{"package/package.json": demoJSON, "package/x": fmt.Sprint(i)})
		wg.Go(func() { status[i] = in.do(t, "alice", "PUT", "wbdemo", bytes.NewReader(body)).StatusCode })
	}
	wg.Wait()
	counts := map[int]int{}
	for _, s := range status {
		counts[s]++
	}
	if counts[http.StatusCreated] != 1 || counts[http.StatusConflict] != len(status)-1 {
		t.Errorf("answers were %v", counts)
	}
}

// rev returns the revision of a package as its owner sees it.
func (in *instance) rev(t testing.TB, name string) string {
	t.Helper()
	return in.do(t, "alice", "GET", name+"?write=true", nil).want(t, 200).json(t)["_rev"].(string)
}

func TestUnpublishFollowsItsPolicy(t *testing.T) {
	t.Parallel()
	in := start(t)
	for _, v := range []string{"1.0.0", "1.0.1", "1.0.2"} {
		in.publish(t, "wbdemo", v)
	}
	file := func(version string) string { return "wbdemo/-/wbdemo-" + version + ".tgz/-rev/" + in.rev(t, "wbdemo") }
	in.do(t, "bob", "DELETE", file("1.0.0"), nil).want(t, 403, "namespace-not-yours")
	in.layerWith(t, "pkg:npm/wbdemo@1.0.0")
	in.layerWith(t, "pkg:npm/wbdemo@1.0.1")
	in.do(t, "alice", "DELETE", file("1.0.0"), nil).want(t, 200)
	in.do(t, "alice", "GET", "wbdemo/-/wbdemo-1.0.0.tgz", nil).want(t, 404, "version-withdrawn")

	in.Ahead(73 * time.Hour)
	in.do(t, "alice", "DELETE", file("1.0.1"), nil).want(t, 403, "unpublish-too-late")
	in.do(t, "alice", "DELETE", "wbdemo/-rev/"+in.rev(t, "wbdemo"), nil).want(t, 403, "unpublish-too-late")
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"1.0.1":{`, `"1.0.2":{`)
	in.do(t, "alice", "DELETE", file("1.0.2"), nil).want(t, 200)
	in.do(t, "alice", "DELETE", "wbdemo/-rev/1-0", nil).want(t, 409, "revision-conflict")
	if in.decisions(t, "unpublish-too-late") != 2 {
		t.Error("the refusals are not in the record")
	}
}

// layerWith records an image layer that contains a release.
func (in *instance) layerWith(t testing.TB, p purl.PURL) {
	t.Helper()
	inv := &evidence.Inventory{Analyser: "layer/1", Components: []evidence.Component{{PURL: p, Path: "node_modules/x/package.json"}}}
	stored, err := in.core.Record().StoreInventory(t.Context(), inv)
	accounttest.Check(t, err)
	_, err = in.core.Record().Append(t.Context(), nil, evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About("", digest.FromBytes([]byte(p)))},
		Predicate: evidence.Contents{Of: "layer", Analyser: "layer/1", Inventory: stored, Components: 1},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	})
	accounttest.Check(t, err)
}

func TestWholeDocumentsAreChangedAtTheirRevisionOnly(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.publish(t, "wbdemo", "1.0.1")
	doc := in.do(t, "alice", "GET", "wbdemo?write=true", nil).json(t)
	delete(doc["versions"].(map[string]any), "1.0.0")
	body, err := json.Marshal(doc)
	accounttest.Check(t, err)
	old := in.rev(t, "wbdemo")
	in.publish(t, "wbdemo", "1.0.2") // which the document above does not have
	in.do(t, "alice", "PUT", "wbdemo/-rev/"+old, bytes.NewReader(body)).want(t, 409, "revision-conflict")
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"1.0.2":{`)
	in.do(t, "alice", "PUT", "wbdemo/-rev/"+in.rev(t, "wbdemo"), strings.NewReader(`{"maintainers":[]}`)).want(t, 400, "owner-required")
}

func TestOwnersByOrganisationAreNotRemovedFromOnePackage(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "wbdemo", "1.0.0")
	body := `{"maintainers":[{"name":"alice"},{"name":"admin"}]}`
	in.do(t, "alice", "PUT", "wbdemo/-rev/"+in.rev(t, "wbdemo"), strings.NewReader(body)).want(t, 409, "owner-by-organisation", "bob")
}

func TestLargeRefusedRequestIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	in := start(t)
	body := documentBody(t, demo, bytes.Repeat([]byte("x"), 8<<20), "latest")
	in.do(t, "mallory", "PUT", "wbdemo", bytes.NewReader(body)).want(t, 403, "namespace-not-yours")
	big := `{"name":"wbdemo","readme":"` + strings.Repeat("x", 3<<20) + `","versions":{}}`
	for range 10 { // more than may be read at a time
		in.do(t, "alice", "PUT", "wbdemo", strings.NewReader(big)).want(t, 404)
	}
}
