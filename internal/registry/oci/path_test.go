package oci

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

var someDigest = digest.FromBytes([]byte("x"))

func TestPathIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	d := string(someDigest)
	for path, want := range map[string]target{
		"/token":                                  {pattern: patternToken},
		"/v2":                                     {pattern: patternBase},
		"/v2/":                                    {pattern: patternBase},
		"/v2/_catalog":                            {pattern: patternCatalog},
		"/v2/acme/app/blobs/" + d:                 {pattern: patternBlob, name: "acme/app", digest: someDigest},
		"/v2/acme/blobs/uploads/":                 {pattern: patternUploads, name: "acme"},
		"/v2/acme/blobs/uploads":                  {pattern: patternUploads, name: "acme"},
		"/v2/acme/blobs/uploads/id.mac":           {pattern: patternUpload, name: "acme", upload: "id.mac"},
		"/v2/acme/manifests/v1.0_7":               {pattern: patternTagged, name: "acme", tag: "v1.0_7"},
		"/v2/acme/manifests/" + d:                 {pattern: patternManifest, name: "acme", digest: someDigest},
		"/v2/acme/tags/list":                      {pattern: patternTags, name: "acme"},
		"/v2/acme/referrers/" + d:                 {pattern: patternReferrers, name: "acme", digest: someDigest},
		"/v2/acme/blobs/uploads/manifests/latest": {pattern: patternTagged, name: "acme/blobs/uploads", tag: "latest"},
		"/v2/tags/list/tags/list":                 {pattern: patternTags, name: "tags/list"},
		"/v2/a/manifests/blobs/" + d:              {pattern: patternBlob, name: "a/manifests", digest: someDigest},
	} {
		if got, err := parsePath(path); err != nil || got != want {
			t.Errorf("parsePath(%q) = %+v, %v; want %+v", path, got, err, want)
		}
	}
}

func TestPathThatIsRefused(t *testing.T) {
	t.Parallel()
	for path, code := range map[string]string{
		"":                                 "path-unknown",
		"/":                                "path-unknown",
		"/v1/":                             "path-unknown",
		"/v2/acme":                         "path-unknown",
		"/v2/acme/nothing/here":            "path-unknown",
		"/v2/acme/uploads/id":              "path-unknown",
		"/v2//blobs/" + string(someDigest): "repository-invalid",
		"/v2/blobs/uploads/":               "repository-invalid",
		"/v2/Acme/tags/list":               "repository-invalid",
		"/v2/a..b/tags/list":               "repository-invalid",
		"/v2/../tags/list":                 "repository-invalid",
		"/v2/a//b/tags/list":               "repository-invalid",
		"/v2/-a/tags/list":                 "repository-invalid",
		"/v2/a\nb/tags/list":               "repository-invalid",
		"/v2/" + strings.Repeat("a", 256) + "/tags/list":      "repository-invalid",
		"/v2/acme/blobs/sha256:short":                         "digest-invalid",
		"/v2/acme/manifests/sha256:baddigeststring":           "digest-invalid",
		"/v2/acme/manifests/md5:d41d8cd98f00b204e9800998ecf8": "digest-invalid",
		"/v2/acme/manifests/.hidden":                          "tag-invalid",
		"/v2/acme/manifests/":                                 "tag-invalid",
		"/v2/acme/manifests/" + strings.Repeat("a", 129):      "tag-invalid",
	} {
		if got, err := parsePath(path); err == nil || fault.As(err).Code != code {
			t.Errorf("parsePath(%q) = %+v, %v; want %s", path, got, err, code)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v2/", "/v2/a/b/blobs/uploads/x", "/v2/a/manifests/1", "/v2/a/blobs/" + string(someDigest), "/v2/a/tags/list"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatalf("%q is answered with an internal error: %v", path, err)
			}
			return
		}
		if got.name != "" && (!validName(got.name) || !strings.HasPrefix(path, "/v2/"+got.name+"/")) {
			t.Fatalf("%q gave the name %q", path, got.name)
		}
	})
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]span{
		"0-0":                      {0, 0},
		"0-1023":                   {0, 1023},
		"5-9":                      {5, 9},
		"bytes 5-9/10":             {5, 9},
		"bytes 5-9/*":              {5, 9},
		"bytes=5-9":                {},
		"":                         {},
		"-5":                       {},
		"5-":                       {},
		"9-5":                      {},
		"0x1-0x2":                  {},
		"+1-+2":                    {},
		"1-9999999999999999999999": {},
	} {
		got, err := parseSpan(header)
		if (err != nil) != (want == span{} && header != "0-0") || err == nil && got != want {
			t.Errorf("parseSpan(%q) = %v, %v; want %v", header, got, err, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"0-1", "bytes 0-1/2", "bytes 0-1/*", "-", "9223372036854775807-9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		s, err := parseSpan(header)
		if err == nil && (s.first < 0 || s.last < s.first || s.length() <= 0) {
			t.Fatalf("%q gave %+v", header, s)
		}
	})
}
