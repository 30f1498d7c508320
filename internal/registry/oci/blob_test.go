package oci_test

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/registry/oci"
)

func TestBlobIsServedWholeInRangesAndOnCondition(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := []byte("0123456789")
	d := s.push(t, "acme/app", content)
	path := "/v2/acme/app/blobs/" + string(d)
	r := s.do(t, "GET", path, nil).want(t, http.StatusOK, "")
	if !bytes.Equal(r.body, content) || r.Header.Get("Docker-Content-Digest") != string(d) || r.Header.Get("Content-Length") != "10" {
		t.Errorf("GET = %q, headers %v", r.body, r.Header)
	}
	if r := s.do(t, "HEAD", path, nil).want(t, http.StatusOK, ""); len(r.body) > 0 || r.ContentLength != 10 {
		t.Errorf("HEAD = %q of length %d", r.body, r.ContentLength)
	}
	if r := s.do(t, "GET", path, nil, "Range", "bytes=2-4").want(t, http.StatusPartialContent, ""); string(r.body) != "234" {
		t.Errorf("the range is %q", r.body)
	}
	s.do(t, "GET", path, nil, "Range", "bytes=100-").want(t, http.StatusRequestedRangeNotSatisfiable, "")
	s.do(t, "GET", path, nil, "If-None-Match", r.Header.Get("ETag")).want(t, http.StatusNotModified, "")
}

func TestBlobBelongsToItsRepository(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.push(t, "acme/one", []byte("x"))
	s.do(t, "GET", "/v2/acme/two/blobs/"+string(d), nil).want(t, http.StatusNotFound, "BLOB_UNKNOWN")
	s.push(t, "acme/two", []byte("x"))
	s.do(t, "DELETE", "/v2/acme/one/blobs/"+string(d), nil).want(t, http.StatusAccepted, "")
	s.do(t, "GET", "/v2/acme/one/blobs/"+string(d), nil).want(t, http.StatusNotFound, "BLOB_UNKNOWN")
	s.do(t, "DELETE", "/v2/acme/one/blobs/"+string(d), nil).want(t, http.StatusNotFound, "BLOB_UNKNOWN")
	s.do(t, "GET", "/v2/acme/two/blobs/"+string(d), nil).want(t, http.StatusOK, "")
}

func TestMountTakesOnlyWhatTheCallerMayRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	open, closed := s.push(t, "open/base", []byte("open")), s.push(t, "acme/base", []byte("closed"))
	narrow := s.bearer(t, s.owner(), "repository:acme/app:pull,push")
	wide := s.bearer(t, s.owner(), "repository:acme/app:pull,push", "repository:acme/base:pull")
	for name, tc := range map[string]struct {
		auth, from string
		blob       digest.Digest
		status     int
	}{
		"from a repository that anybody may read":         {narrow, "open/base", open, 201},
		"from one that the token does not reach":          {narrow, "acme/base", closed, 202},
		"from one that the token reaches":                 {wide, "acme/base", closed, 201},
		"from anywhere, public":                           {narrow, "", open, 201},
		"from anywhere, of what the token does not reach": {narrow, "", closed, 202},
		"from a repository that lacks it":                 {s.owner(), "open/base", closed, 202},
		"from something that is no name":                  {s.owner(), "../etc", open, 202},
	} {
		repository := "acme/app"
		s.do(t, "DELETE", "/v2/"+repository+"/blobs/"+string(tc.blob), nil)
		q := url.Values{"mount": {string(tc.blob)}}
		if tc.from != "" {
			q.Set("from", tc.from)
		}
		r := s.do(t, "POST", "/v2/"+repository+"/blobs/uploads/?"+q.Encode(), nil, "Authorization", tc.auth)
		if r.StatusCode != tc.status || r.Header.Get("Location") == "" {
			t.Errorf("%s: %d %s, want %d", name, r.StatusCode, r.body, tc.status)
		}
	}
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/?mount=rubbish", nil).want(t, http.StatusBadRequest, "DIGEST_INVALID")
}

// begin starts an upload and returns its Location.
func (s *server) begin(t testing.TB, repository string) string {
	t.Helper()
	return s.do(t, "POST", "/v2/"+repository+"/blobs/uploads/", nil).want(t, http.StatusAccepted, "").Header.Get("Location")
}

func TestChunksComeInOrderAndAnUploadCanBeAskedWhereItStands(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := s.begin(t, "acme/app")
	s.do(t, "PATCH", at, []byte("0123"), "Content-Range", "0-3").want(t, http.StatusAccepted, "")
	for name, header := range map[string]string{"a gap": "8-9", "a repetition": "0-1"} {
		r := s.do(t, "PATCH", at, []byte("xx"), "Content-Range", header).want(t, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
		if r.Header.Get("Range") != "0-3" || r.Header.Get("Location") != at {
			t.Errorf("after %s: Range %s, Location %s", name, r.Header.Get("Range"), r.Header.Get("Location"))
		}
	}
	s.do(t, "PATCH", at, []byte("xx"), "Content-Range", "4-4").want(t, http.StatusBadRequest, "BLOB_UPLOAD_INVALID")
	s.do(t, "PATCH", at, []byte("xx"), "Content-Range", "rubbish").want(t, http.StatusBadRequest, "BLOB_UPLOAD_INVALID")
	if r := s.do(t, "GET", at, nil).want(t, http.StatusNoContent, ""); r.Header.Get("Range") != "0-3" {
		t.Errorf("status: Range %s", r.Header.Get("Range"))
	}
	s.do(t, "PATCH", at, []byte("45")).want(t, http.StatusAccepted, "")
	d := digest.FromBytes([]byte("01234567"))
	s.do(t, "PUT", at+"?digest="+string(d), []byte("67"), "Content-Range", "6-7").want(t, http.StatusCreated, "")
	s.do(t, "GET", "/v2/acme/app/blobs/"+string(d), nil).want(t, http.StatusOK, "")
	s.do(t, "GET", at, nil).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func TestUploadThatIsCancelledOrWrongIsGone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := s.begin(t, "acme/app")
	s.do(t, "DELETE", at, nil).want(t, http.StatusNoContent, "")
	s.do(t, "PATCH", at, []byte("x")).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	wrong := string(digest.FromBytes([]byte("other")))
	at = s.begin(t, "acme/app")
	s.do(t, "PUT", at+"?digest=rubbish", []byte("x")).want(t, http.StatusBadRequest, "DIGEST_INVALID")
	s.do(t, "PUT", at, []byte("x")).want(t, http.StatusBadRequest, "DIGEST_INVALID")
	s.do(t, "PUT", at+"?digest="+wrong, []byte("x")).want(t, http.StatusBadRequest, "DIGEST_INVALID")
	s.do(t, "GET", at, nil).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/?digest="+wrong, []byte("x")).want(t, http.StatusBadRequest, "DIGEST_INVALID")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/?digest-algorithm=md5", nil).want(t, http.StatusBadRequest, "DIGEST_INVALID")
	if left, err := os.ReadDir(filepath.Join(s.folder, "blobs", "uploads")); err != nil || len(left) > 0 {
		t.Errorf("%d uploads are left, %v", len(left), err)
	}
}

func TestUploadStaysInTheRepositoryWhereItBegan(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := s.begin(t, "acme/app")
	s.do(t, "PATCH", strings.Replace(at, "acme/app", "acme/other", 1), []byte("x")).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	s.do(t, "PATCH", at[:len(at)-1], []byte("x")).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	id, _, _ := strings.Cut(at, ".")
	s.do(t, "PATCH", id, []byte("x")).want(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func TestUploadSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := s.begin(t, "acme/app")
	s.do(t, "PATCH", at, []byte("before ")).want(t, http.StatusAccepted, "")
	s.close()
	again := openServer(t, s.folder)
	again.token = s.token
	content := []byte("before after")
	if r := again.do(t, "GET", at, nil).want(t, http.StatusNoContent, ""); r.Header.Get("Range") != "0-6" {
		t.Errorf("Range after the restart: %s", r.Header.Get("Range"))
	}
	again.do(t, "PUT", at+"?digest="+string(digest.FromBytes(content)), []byte("after")).want(t, http.StatusCreated, "")
}

func TestBlobsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *oci.Config) { c.Limits.Blob = 8 })
	nine := []byte("123456789")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/?digest="+string(digest.FromBytes(nine)), nine).want(t, http.StatusRequestEntityTooLarge, "SIZE_INVALID")
	at := s.begin(t, "acme/app")
	s.do(t, "PATCH", at, nine[:5]).want(t, http.StatusAccepted, "")
	s.do(t, "PATCH", at, nine[5:]).want(t, http.StatusRequestEntityTooLarge, "SIZE_INVALID")
	// A body of unknown length is cut at the limit.
	req, err := http.NewRequest("PATCH", s.URL+at, struct{ *strings.Reader }{strings.NewReader("6789")})
	must(t, err)
	req.ContentLength = -1
	req.SetBasicAuth("admin", s.token)
	resp, err := s.Client().Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a stream beyond the limit: %d", resp.StatusCode)
	}
}

func TestSHA512IsADigestLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := fmt.Sprintf("sha512:%x", sha512.Sum512([]byte("x")))
	at := s.do(t, "POST", "/v2/acme/app/blobs/uploads/?digest-algorithm=sha512", nil).want(t, http.StatusAccepted, "").Header.Get("Location")
	s.do(t, "PUT", at+"?digest="+d, []byte("x")).want(t, http.StatusCreated, "")
	s.do(t, "GET", "/v2/acme/app/blobs/"+d, nil).want(t, http.StatusOK, "")
}

func TestClientThatBreaksOffCanGoOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := s.begin(t, "acme/app")
	if answer := s.breakOff(t, at, "12345", 100); !strings.Contains(answer, "BLOB_UPLOAD_INVALID") {
		t.Errorf("answer to the broken request: %s", answer)
	}
	if r := s.do(t, "GET", at, nil).want(t, http.StatusNoContent, ""); r.Header.Get("Range") != "0-4" {
		t.Errorf("Range after the break: %s", r.Header.Get("Range"))
	}
}
