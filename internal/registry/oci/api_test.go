package oci_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/oci"
)

// emptyIndex is the smallest manifest; mark makes its digest another.
func emptyIndex(mark string) []byte {
	return []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[],"annotations":{"mark":"` + mark + `"}}`)
}

// put pushes a manifest and returns its digest.
func (s *server) put(t testing.TB, repository, reference string, manifest []byte, mediaType string) digest.Digest {
	t.Helper()
	r := s.do(t, "PUT", "/v2/"+repository+"/manifests/"+reference, manifest, "Content-Type", mediaType).want(t, http.StatusCreated, "")
	return digest.Digest(r.Header.Get("Docker-Content-Digest"))
}

func TestManifestIsServedAsItWasPushed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := emptyIndex("1")
	d := s.put(t, "acme/app", "v1", body, indexType)
	for _, reference := range []string{"v1", string(d)} {
		r := s.do(t, "GET", "/v2/acme/app/manifests/"+reference, nil, "Accept", indexType).want(t, http.StatusOK, "")
		if !bytes.Equal(r.body, body) || r.Header.Get("Content-Type") != indexType || r.Header.Get("Docker-Content-Digest") != string(d) {
			t.Errorf("%s: %s %v", reference, r.body, r.Header)
		}
		s.do(t, "GET", "/v2/acme/app/manifests/"+reference, nil, "If-None-Match", r.Header.Get("ETag")).want(t, http.StatusNotModified, "")
	}
	s.do(t, "GET", "/v2/acme/app/manifests/v1", nil, "Accept", imageType).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	s.do(t, "GET", "/v2/acme/app/manifests/v1", nil, "Accept", "text/html, */*;q=0.1").want(t, http.StatusOK, "")
	s.do(t, "GET", "/v2/acme/app/manifests/v1", nil, "Accept", "application/json").want(t, http.StatusOK, "")
	s.do(t, "GET", "/v2/acme/app/manifests/v2", nil).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	s.do(t, "GET", "/v2/acme/other/manifests/"+string(d), nil).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
}

func TestManifestIsRefusedWhen(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *oci.Config) { c.Limits.Manifest = 2000 })
	missing := `{"schemaVersion":2,"manifests":[{"mediaType":"` + imageType + `","digest":"` + string(digest.FromBytes(nil)) + `","size":0}]}`
	noBlob := `{"schemaVersion":2,"layers":[],"config":{"mediaType":"x/y","digest":"` + string(digest.FromBytes(nil)) + `","size":0}}`
	many := "?" + strings.Repeat("tag=a&", 65)
	for name, tc := range map[string]struct {
		reference, body, mediaType string
		status                     int
		code                       string
	}{
		"its digest is another":      {string(digest.FromBytes(nil)), string(emptyIndex("")), indexType, 400, "DIGEST_INVALID"},
		"it names a missing child":   {"v1", missing, indexType, 404, "MANIFEST_BLOB_UNKNOWN"},
		"it names a missing blob":    {"v1", noBlob, imageType, 404, "MANIFEST_BLOB_UNKNOWN"},
		"it is too large":            {"v1", string(emptyIndex(strings.Repeat("x", 2000))), indexType, 413, "MANIFEST_INVALID"},
		"it is no manifest":          {"v1", "{}", "application/json", 400, "MANIFEST_INVALID"},
		"the tag is none":            {"-v1", string(emptyIndex("")), indexType, 400, "MANIFEST_INVALID"},
		"a tag in the query is none": {string(digest.FromBytes(emptyIndex(""))) + "?tag=-", string(emptyIndex("")), indexType, 400, "MANIFEST_INVALID"},
		"there are too many tags":    {string(digest.FromBytes(emptyIndex(""))) + many, string(emptyIndex("")), indexType, 400, "MANIFEST_INVALID"},
	} {
		r := s.do(t, "PUT", "/v2/acme/app/manifests/"+tc.reference, []byte(tc.body), "Content-Type", tc.mediaType)
		if r.StatusCode != tc.status || !strings.Contains(string(r.body), `"`+tc.code+`"`) {
			t.Errorf("%s: %d %s, want %d %s", name, r.StatusCode, r.body, tc.status, tc.code)
		}
	}
}

func TestTagsMoveAndGo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	one := s.put(t, "acme/app", "latest", emptyIndex("1"), indexType)
	two := s.put(t, "acme/app", "latest", emptyIndex("2"), indexType)
	if r := s.do(t, "HEAD", "/v2/acme/app/manifests/latest", nil); r.Header.Get("Docker-Content-Digest") != string(two) {
		t.Errorf("latest is %s", r.Header.Get("Docker-Content-Digest"))
	}
	r := s.do(t, "PUT", "/v2/acme/app/manifests/"+string(one)+"?tag=a&tag=b", emptyIndex("1"), "Content-Type", indexType).want(t, http.StatusCreated, "")
	if r.Header.Get("OCI-Tag") != "a, b" {
		t.Errorf("OCI-Tag: %s", r.Header.Get("OCI-Tag"))
	}
	s.do(t, "DELETE", "/v2/acme/app/manifests/a", nil).want(t, http.StatusAccepted, "")
	s.do(t, "DELETE", "/v2/acme/app/manifests/a", nil).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	s.do(t, "GET", "/v2/acme/app/manifests/b", nil).want(t, http.StatusOK, "")
	s.do(t, "DELETE", "/v2/acme/app/manifests/"+string(one), nil).want(t, http.StatusAccepted, "")
	s.do(t, "GET", "/v2/acme/app/manifests/b", nil).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	s.do(t, "GET", "/v2/acme/app/manifests/"+string(one), nil).want(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	// The same bytes may come back.
	s.put(t, "acme/app", "again", emptyIndex("1"), indexType)
	s.do(t, "GET", "/v2/acme/app/manifests/"+string(one), nil).want(t, http.StatusOK, "")
}

func TestMaintainersRemoveTagsAndOwnersRemoveManifests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.put(t, "acme/app", "v1", emptyIndex("1"), indexType)
	auth := s.bearer(t, s.member(t, "max", account.Maintainer), "repository:acme/app:*")
	s.do(t, "DELETE", "/v2/acme/app/manifests/"+string(d), nil, "Authorization", auth).want(t, http.StatusForbidden, "DENIED")
	s.do(t, "DELETE", "/v2/acme/app/manifests/v1", nil, "Authorization", auth).want(t, http.StatusAccepted, "")
}

func TestRecalledImageIsNotPulled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.put(t, "acme/app", "v1", emptyIndex("1"), indexType)
	_, err := s.core.Record().Append(t.Context(), nil, evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(purl.Image("acme/app", string(d)), d)},
		Predicate: evidence.Recall{Reason: "it mines coins"}, Issuer: s.admin.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	for _, reference := range []string{"v1", string(d)} {
		r := s.do(t, "GET", "/v2/acme/app/manifests/"+reference, nil).want(t, http.StatusForbidden, "DENIED")
		if !strings.Contains(string(r.body), "it mines coins") {
			t.Errorf("the refusal does not give the reason: %s", r.body)
		}
	}
}

func TestARecalledLayerIsNotServedByEitherOfItsDigests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second, third := archive(t, "a", "first"), archive(t, "b", "second"), archive(t, "c", "third")
	diffs := []digest.Digest{digest.FromBytes(first), digest.FromBytes(second), digest.FromBytes(third)}
	packed := [][]byte{gz(t, first), gz(t, second), gz(t, third)}
	s.publish(t, "acme/app", "v1", s.image(t, "acme/app", diffs, packed...))
	for _, recalled := range []digest.Digest{digest.FromBytes(packed[0]), diffs[1]} {
		_, err := s.core.Record().Append(t.Context(), nil, evidence.Draft{
			Subjects:  []evidence.Subject{evidence.About("", recalled)},
			Predicate: evidence.Recall{Reason: "it mines coins", Admin: true}, Issuer: s.admin.Issuer(), Assurance: evidence.Authenticated,
		})
		must(t, err)
	}
	for i, status := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusOK} {
		r := s.do(t, "GET", "/v2/acme/app/blobs/"+string(digest.FromBytes(packed[i])), nil)
		if r.StatusCode != status || status == http.StatusForbidden && !strings.Contains(string(r.body), "it mines coins") {
			t.Errorf("layer %d: %s %s", i, r.Status, r.body)
		}
	}
}

// list follows the Link headers from path on and returns every page's items.
func (s *server) list(t testing.TB, path, member, auth string) (pages [][]string) {
	t.Helper()
	for path != "" && len(pages) < 100 {
		r := s.do(t, "GET", path, nil, "Authorization", auth).want(t, http.StatusOK, "")
		var body map[string]json.RawMessage
		must(t, json.Unmarshal(r.body, &body))
		var items []string
		must(t, json.Unmarshal(body[member], &items))
		pages = append(pages, items)
		path, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
	}
	return pages
}

func TestTagsAreListedInPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do(t, "GET", "/v2/acme/app/tags/list", nil).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	for _, tag := range []string{"b", "a", "C", "d", "e"} {
		s.put(t, "acme/app", tag, emptyIndex("1"), indexType)
	}
	for path, want := range map[string]string{
		"":            "[[C a b d e]]",
		"?n=2":        "[[C a] [b d] [e]]",
		"?n=5":        "[[C a b d e]]",
		"?n=0":        "[[]]",
		"?last=b":     "[[d e]]",
		"?n=1&last=d": "[[e]]",
		"?last=zzz":   "[[]]",
	} {
		if got := fmt.Sprint(s.list(t, "/v2/acme/app/tags/list"+path, "tags", s.owner())); got != want {
			t.Errorf("tags/list%s = %s, want %s", path, got, want)
		}
	}
	s.do(t, "GET", "/v2/acme/app/tags/list?n=-1", nil).want(t, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID")
	s.do(t, "GET", "/v2/acme/app/tags/list?n=many", nil).want(t, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID")
}

func TestCatalogShowsWhatTheCallerMayRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"acme/a", "acme/b", "open/c"} {
		s.put(t, name, "v1", emptyIndex("1"), indexType)
	}
	if got := fmt.Sprint(s.list(t, "/v2/_catalog?n=2", "repositories", s.owner())); got != "[[acme/a acme/b] [open/c]]" {
		t.Errorf("the owner sees %s", got)
	}
	stranger := s.member(t, "sam", "")
	if got := fmt.Sprint(s.list(t, "/v2/_catalog", "repositories", stranger)); got != "[[open/c]]" {
		t.Errorf("a stranger sees %s", got)
	}
	if got := fmt.Sprint(s.list(t, "/v2/_catalog", "repositories", s.bearer(t, "", "registry:catalog:*"))); got != "[[open/c]]" {
		t.Errorf("nobody sees %s", got)
	}
}

// refer pushes an artifact that refers to subject.
func (s *server) refer(t testing.TB, subject digest.Digest, artifactType, mark string) digest.Digest {
	t.Helper()
	config := s.push(t, "acme/app", []byte("{}"))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"layers":[],
		"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},
		"subject":{"mediaType":%q,"digest":%q,"size":1},"annotations":{"mark":%q}}`, imageType, artifactType, config, imageType, subject, mark)
	d := digest.FromBytes([]byte(body))
	r := s.do(t, "PUT", "/v2/acme/app/manifests/"+string(d), []byte(body), "Content-Type", imageType).want(t, http.StatusCreated, "")
	if r.Header.Get("OCI-Subject") != string(subject) {
		t.Errorf("OCI-Subject: %s", r.Header.Get("OCI-Subject"))
	}
	return d
}

type referrers struct {
	SchemaVersion int
	MediaType     string
	Manifests     []struct {
		Digest       digest.Digest
		ArtifactType string
		MediaType    string
		Size         int
		Annotations  map[string]string
	}
}

func (s *server) referrers(t testing.TB, path string) (referrers, http.Header) {
	t.Helper()
	r := s.do(t, "GET", path, nil).want(t, http.StatusOK, "")
	var got referrers
	must(t, json.Unmarshal(r.body, &got))
	if got.SchemaVersion != 2 || got.MediaType != indexType || r.Header.Get("Content-Type") != indexType || got.Manifests == nil {
		t.Errorf("no index: %s", r.body)
	}
	return got, r.Header
}

func TestReferrersAreListedAndFiltered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	subject := digest.FromBytes([]byte("not pushed yet"))
	path := "/v2/acme/app/referrers/" + string(subject)
	if got, _ := s.referrers(t, path); len(got.Manifests) != 0 {
		t.Errorf("before the push: %+v", got)
	}
	sbom, signature := s.refer(t, subject, "a/sbom", "1"), s.refer(t, subject, "a/signature", "2")
	got, _ := s.referrers(t, path)
	if len(got.Manifests) != 2 || got.Manifests[0].Digest != sbom || got.Manifests[0].Annotations["mark"] != "1" || got.Manifests[0].ArtifactType != "a/sbom" {
		t.Errorf("referrers: %+v", got)
	}
	got, header := s.referrers(t, path+"?artifactType=a/signature")
	if len(got.Manifests) != 1 || got.Manifests[0].Digest != signature || header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: %+v, %v", got, header)
	}
	s.do(t, "DELETE", "/v2/acme/app/manifests/"+string(sbom), nil).want(t, http.StatusAccepted, "")
	if got, _ := s.referrers(t, path); len(got.Manifests) != 1 {
		t.Errorf("after a deletion: %+v", got)
	}
}

func TestReferrersDoNotTellStrangersWhichNamesAreTaken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put(t, "acme/app", "v1", emptyIndex("1"), indexType)
	stranger := s.member(t, "sam", "")
	path := "/referrers/" + string(digest.FromBytes(nil))
	s.do(t, "GET", "/v2/acme/app"+path, nil, "Authorization", stranger).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	s.do(t, "GET", "/v2/acme/nothing"+path, nil, "Authorization", stranger).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	s.do(t, "GET", "/v2/nobody/app"+path, nil, "Authorization", stranger).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	s.referrers(t, "/v2/acme/nothing"+path) // who may push there sees an empty list
}

func TestManyReferrersComeInPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	subject := digest.FromBytes([]byte("subject"))
	var want, seen []digest.Digest
	for i := range 5 {
		want = append(want, s.refer(t, subject, "a/b", fmt.Sprint(i)+strings.Repeat("x", 1<<20)))
	}
	path := "/v2/acme/app/referrers/" + string(subject) + "?artifactType=a/b"
	pages := 0
	for ; path != "" && pages < 10; pages++ {
		got, header := s.referrers(t, path)
		for _, m := range got.Manifests {
			seen = append(seen, m.Digest)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), ">")
	}
	if pages != 2 || !slices.Equal(seen, want) {
		t.Errorf("%d pages with %d referrers, want 2 with %d", pages, len(seen), len(want))
	}
}

func TestManifestMayHaveASHA512Digest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := emptyIndex("512")
	d := fmt.Sprintf("sha512:%x", sha512.Sum512(body))
	if got := s.put(t, "acme/app", d+"?tag=big", body, indexType); string(got) != d {
		t.Errorf("pushed as %s", got)
	}
	if r := s.do(t, "GET", "/v2/acme/app/manifests/big", nil).want(t, http.StatusOK, ""); r.Header.Get("Docker-Content-Digest") != d {
		t.Errorf("served as %s", r.Header.Get("Docker-Content-Digest"))
	}
}

func TestSparseManifestsAreTakenWhenAllowed(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *oci.Config) { c.Sparse = true })
	d := digest.FromBytes([]byte("elsewhere"))
	body := fmt.Sprintf(`{"schemaVersion":2,"layers":[{"mediaType":%q,"digest":%q,"size":1}],"config":{"mediaType":%q,"digest":%q,"size":1}}`,
		layerType, d, configType, d)
	s.put(t, "acme/app", "v1", []byte(body), imageType)
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(digest.FromBytes([]byte(body)))); len(got) != 1 || !strings.Contains(got[0].Incomplete, "not in this repository") {
		t.Errorf("the image is %+v", got)
	}
}
