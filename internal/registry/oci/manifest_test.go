package oci

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
)

func descriptorJSON(mediaType string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, mediaType, someDigest)
}

func imageJSON(more string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`,
		typeImage, descriptorJSON(configImage), descriptorJSON("application/vnd.oci.image.layer.v1.tar"), more)
}

func TestManifestThatIsTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ contentType, body string }{
		"an image":                             {typeImage, imageJSON("")},
		"an image without Content-Type":        {"", imageJSON("")},
		"a Content-Type with parameters":       {typeImage + "; charset=utf-8", imageJSON("")},
		"members that we do not know":          {typeImage, imageJSON(`,"org.example":{"Size":[1,2]}`)},
		"annotations in any case":              {typeImage, imageJSON(`,"annotations":{"Digest":"a","digest":"b"}`)},
		"an empty index":                       {typeIndex, `{"schemaVersion":2,"manifests":[]}`},
		"an index of images":                   {typeDockerList, `{"mediaType":"` + typeDockerList + `","manifests":[` + descriptorJSON(typeImage) + `]}`},
		"an artifact manifest of the past":     {typeArtifact, `{"mediaType":"` + typeArtifact + `","blobs":[` + descriptorJSON("text/plain") + `]}`},
		"a subject that nobody has pushed yet": {typeImage, imageJSON(`,"subject":` + descriptorJSON(typeImage))},
	} {
		if _, err := parseManifest(tc.contentType, []byte(tc.body)); err != nil {
			t.Errorf("%s: %v", name, fault.As(err).Error())
		}
	}
}

func TestManifestThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ contentType, body string }{
		"nothing":                               {typeImage, ""},
		"no object":                             {typeImage, "[]"},
		"half an object":                        {typeImage, `{"config":{`},
		"something after the object":            {typeImage, imageJSON("") + "{}"},
		"an unknown media type":                 {"application/json", imageJSON("")},
		"a media type that cannot be read":      {"/;;", imageJSON("")},
		"a header that contradicts":             {typeIndex, imageJSON("")},
		"no type at all":                        {"", `{"schemaVersion":2}`},
		"schema 1":                              {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{}`},
		"a member twice":                        {typeImage, imageJSON(`,"layers":[]`)},
		"a member of a descriptor twice":        {typeImage, imageJSON(`,"subject":{"digest":"` + string(someDigest) + `","digest":"` + string(someDigest) + `"}`)},
		"a member in another case":              {typeImage, imageJSON(`,"Layers":[]`)},
		"a descriptor's member in another case": {typeImage, imageJSON(`,"subject":{"Digest":"` + string(someDigest) + `"}`)},
		"a member spelled with a long s":        {typeImage, imageJSON(`,"\u017fubject":{}`)},
		"an annotation twice":                   {typeImage, imageJSON(`,"annotations":{"a":"1","a":"2"}`)},
		"an annotation that is no text":         {typeImage, imageJSON(`,"annotations":{"a":1}`)},
		"an image that is an index too":         {typeImage, imageJSON(`,"manifests":[]`)},
		"an index that is an image too":         {typeIndex, `{"manifests":[],"layers":[]}`},
		"an image without config":               {typeImage, `{"layers":[]}`},
		"an image with an artifact's members":   {typeImage, imageJSON(`,"blobs":[]`)},
		"a digest that is none":                 {typeImage, strings.Replace(imageJSON(""), "sha256:", "sha1:", 1)},
		"a negative size":                       {typeImage, strings.Replace(imageJSON(""), `"size":1`, `"size":-1`, 1)},
		"a size that overflows":                 {typeImage, strings.Replace(imageJSON(""), `"size":1`, `"size":99999999999999999999`, 1)},
		"nesting without end":                   {typeImage, imageJSON(`,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100))},
		"more contents than anybody needs":      {typeIndex, `{"manifests":[` + strings.Repeat(descriptorJSON(typeImage)+",", maxDescriptors) + descriptorJSON(typeImage) + `]}`},
	} {
		_, err := parseManifest(tc.contentType, []byte(tc.body))
		if err == nil || fault.As(err).Code != "manifest-invalid" {
			t.Errorf("%s: got %v; want manifest-invalid", name, err)
		}
	}
}

func TestArtifactTypeFollowsTheSpecification(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		m    manifest
		want string
	}{
		"its own":                {manifest{ArtifactType: "a", Config: &descriptor{MediaType: "b"}}, "a"},
		"the config's":           {manifest{Config: &descriptor{MediaType: "b"}}, "b"},
		"none for a plain index": {manifest{}, ""},
	} {
		if got := tc.m.artifactType(); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(typeImage, []byte(imageJSON("")))
	f.Add(typeIndex, []byte(`{"schemaVersion":2,"manifests":[`+descriptorJSON(typeImage)+`]}`))
	f.Add("", []byte(imageJSON(`,"subject":`+descriptorJSON(typeImage))))
	f.Add(typeImage, []byte(`{"config":{},"config":{}}`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := parseManifest(contentType, body)
		if err != nil {
			if fault.As(err).Code != "manifest-invalid" {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if m.Manifests != nil && m.Config != nil {
			t.Fatal("an image and an index at once")
		}
		for _, d := range m.blobs() {
			if d.Digest == "" || d.Size < 0 {
				t.Fatalf("took the descriptor %+v", d)
			}
		}
	})
}
