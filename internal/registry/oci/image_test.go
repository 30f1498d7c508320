package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/oci"
)

const (
	imageType  = "application/vnd.oci.image.manifest.v1+json"
	indexType  = "application/vnd.oci.image.index.v1+json"
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

// archive makes a tar of name, content pairs.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		must(t, w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o755, Size: int64(len(files[i+1]))}))
		_, err := w.Write([]byte(files[i+1]))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func npmPackage(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
}

func gz(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(raw)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func zst(t testing.TB, raw []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(raw, nil)
}

// pushed is what a test pushed as an image.
type pushed struct {
	manifest []byte
	digest   digest.Digest
}

// image builds a manifest over layers (as pushed) with these diffIDs and pushes what it names.
func (s *server) image(t testing.TB, repository string, diffIDs []digest.Digest, blobs ...[]byte) pushed {
	t.Helper()
	history := make([]map[string]any, len(diffIDs))
	for i := range history {
		history[i] = map[string]any{"created_by": fmt.Sprintf("COPY %d /", i)}
	}
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "arm64", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}, "history": history,
	})
	must(t, err)
	type descriptor struct {
		MediaType string        `json:"mediaType"`
		Digest    digest.Digest `json:"digest"`
		Size      int           `json:"size"`
	}
	layers := []descriptor{}
	for _, b := range blobs {
		layers = append(layers, descriptor{layerType, s.push(t, repository, b), len(b)})
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": imageType, "layers": layers, "config": descriptor{configType, s.push(t, repository, config), len(config)},
	})
	must(t, err)
	return pushed{manifest, digest.FromBytes(manifest)}
}

// publish pushes the manifest and waits until its contents are known.
func (s *server) publish(t testing.TB, repository, reference string, p pushed) {
	t.Helper()
	s.do(t, "PUT", "/v2/"+repository+"/manifests/"+reference, p.manifest, "Content-Type", imageType).want(t, http.StatusCreated, "")
	must(t, s.registry.Settled(t.Context()))
}

// contents returns the contents statements about a subject.
func (s *server) contents(t testing.TB, subject string) []evidence.Contents {
	t.Helper()
	statements, err := s.core.Record().About(t.Context(), subject, -1, 100)
	must(t, err)
	var out []evidence.Contents
	for _, st := range statements {
		if st.PredicateType != evidence.ContentsType {
			continue
		}
		c, err := evidence.Decode[evidence.Contents](st)
		must(t, err)
		out = append(out, c)
	}
	return out
}

func TestImageIsDescribedByItsLayers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	lower := archive(t, "app/node_modules/left/package.json", npmPackage("left", "1.0.0"), "usr/bin/tool", "#!/bin/sh\n")
	upper := archive(t, "app/node_modules/left/package.json", npmPackage("left", "1.1.0"))
	diffs := []digest.Digest{digest.FromBytes(lower), digest.FromBytes(upper)}
	im := s.image(t, "acme/app", diffs, gz(t, lower), zst(t, upper))
	s.publish(t, "acme/app", "v1", im)

	got := s.contents(t, string(purl.Image("acme/app", string(im.digest))))
	if len(got) != 1 {
		t.Fatalf("%d descriptions of the image", len(got))
	}
	c := got[0]
	if c.Incomplete != "" || c.Platform != "linux/arm64" || len(c.Layers) != 2 {
		t.Fatalf("the image is %+v", c)
	}
	for i, l := range c.Layers {
		if l.DiffID != diffs[i] || l.CreatedBy != fmt.Sprintf("COPY %d /", i) {
			t.Errorf("layer %d is %+v", i, l)
		}
	}
	if len(c.Hidden) != 1 || c.Hidden[0] != (evidence.HiddenComponent{Position: 0, PURL: "pkg:npm/left@1.0.0"}) {
		t.Errorf("hidden: %+v", c.Hidden)
	}
	layer := s.contents(t, string(diffs[0]))
	if len(layer) != 1 || layer[0].Components != 1 || layer[0].Blob != digest.FromBytes(gz(t, lower)) || layer[0].Of != "layer" {
		t.Errorf("the layer is %+v", layer)
	}
}

// counting counts how many layers are read, and can hold the readers up.
type counting struct {
	layers
	reads atomic.Int64
	gate  chan struct{} // when not nil, readers wait for it to be closed
}

func (c *counting) ReadLayer(r io.Reader) (*evidence.Inventory, error) {
	c.reads.Add(1)
	if c.gate != nil {
		<-c.gate
	}
	return c.layers.ReadLayer(r)
}

func TestLayerIsReadOnceWhoeverPushesIt(t *testing.T) {
	t.Parallel()
	reader := new(counting)
	s := newServer(t, func(c *oci.Config) { c.Layers = reader })
	layer := archive(t, "a", "b")
	diff := []digest.Digest{digest.FromBytes(layer)}
	for _, repository := range []string{"acme/one", "acme/two", "open/three"} {
		s.publish(t, repository, "latest", s.image(t, repository, diff, layer))
	}
	if n := reader.reads.Load(); n != 1 {
		t.Errorf("the layer was read %d times", n)
	}
	s.publish(t, "acme/one", "gzip", s.image(t, "acme/one", diff, gz(t, layer)))
	if got := s.contents(t, string(diff[0])); len(got) != 2 || got[0].Inventory != got[1].Inventory {
		t.Errorf("two compressions of a layer are described by %+v", got)
	}
}

func TestLayerIsReadDuringItsUploadInChunks(t *testing.T) {
	t.Parallel()
	reader := new(counting)
	s := newServer(t, func(c *oci.Config) { c.Layers = reader })
	layer := archive(t, "usr/bin/tool", strings.Repeat("#!/bin/sh\n", 5000))
	at := s.begin(t, "acme/app")
	for i := 0; i < len(layer); i += 700 {
		s.do(t, "PATCH", at, layer[i:min(i+700, len(layer))]).want(t, http.StatusAccepted, "")
		if i == 700 && reader.reads.Load() > 1 {
			t.Error("a chunk started a reader of its own")
		}
	}
	d := digest.FromBytes(layer)
	s.do(t, "PUT", at+"?digest="+string(d), nil).want(t, http.StatusCreated, "")
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(d)); len(got) != 1 || got[0].Files != 1 || reader.reads.Load() != 1 {
		t.Errorf("%d reads, contents %+v", reader.reads.Load(), got)
	}
}

func TestContentThatIsNoLayerIsNotRead(t *testing.T) {
	t.Parallel()
	reader := new(counting)
	s := newServer(t, func(c *oci.Config) { c.Layers = reader })
	s.push(t, "acme/app", []byte(`{"os":"linux"}`))
	s.push(t, "acme/app", bytes.Repeat([]byte("text "), 1000))
	if n := reader.reads.Load(); n != 0 {
		t.Errorf("%d readers were started", n)
	}
	s.push(t, "acme/app", gz(t, []byte("compressed, and no archive")))
	must(t, s.registry.Settled(t.Context()))
	var n int
	must(t, s.core.Record().DB().Query().QueryRow(`SELECT count(*) FROM layer`).Scan(&n))
	if n != 0 {
		t.Errorf("%d layers are on the record", n)
	}
}

func TestLayerThatNobodyReadIsReadWhenAManifestNamesIt(t *testing.T) {
	t.Parallel()
	layer := archive(t, "a", "b")
	diff := []digest.Digest{digest.FromBytes(layer)}
	first := newServer(t, func(c *oci.Config) { c.Layers = nil }) // a server that reads nothing
	im := first.image(t, "acme/app", diff, layer)
	first.close()
	s := openServer(t, first.folder)
	s.token = first.token
	s.publish(t, "acme/app", "latest", im)
	if got := s.contents(t, string(im.digest)); len(got) != 1 || got[0].Incomplete != "" || len(got[0].Layers) != 1 {
		t.Errorf("the image is %+v", got)
	}
}

func TestPushDoesNotWaitForReadersAndTheContentsFollow(t *testing.T) {
	t.Parallel()
	reader := &counting{gate: make(chan struct{})}
	s := newServer(t, func(c *oci.Config) { c.Layers = reader })
	layer := archive(t, "a", "b")
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(layer)}, layer)
	s.do(t, "PUT", "/v2/acme/app/manifests/v1", im.manifest, "Content-Type", imageType).want(t, http.StatusCreated, "")
	if got := s.contents(t, string(im.digest)); len(got) != 0 {
		t.Errorf("contents before the layer was read: %+v", got)
	}
	close(reader.gate)
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(im.digest)); len(got) != 1 || got[0].Incomplete != "" {
		t.Errorf("the image is %+v", got)
	}
}

func TestPushWaitsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *oci.Config) { c.Limits.Settle = time.Minute })
	layer := archive(t, "a", "b")
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(layer)}, layer)
	s.do(t, "PUT", "/v2/acme/app/manifests/v1", im.manifest, "Content-Type", imageType).want(t, http.StatusCreated, "")
	if got := s.contents(t, string(im.digest)); len(got) != 1 {
		t.Errorf("contents when the push returned: %+v", got)
	}
}

func TestStoppedServerMakesUpForWhatItDidNotRead(t *testing.T) {
	t.Parallel()
	reader := &counting{gate: make(chan struct{})}
	first := newServer(t, func(c *oci.Config) { c.Layers = reader })
	layer := archive(t, "a", "b")
	im := first.image(t, "acme/app", []digest.Digest{digest.FromBytes(layer)}, layer)
	first.do(t, "PUT", "/v2/acme/app/manifests/v1", im.manifest, "Content-Type", imageType).want(t, http.StatusCreated, "")
	closed := make(chan struct{})
	go func() { first.registry.Close(); close(closed) }()
	close(reader.gate)
	<-closed
	s := openServer(t, first.folder)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	must(t, s.registry.Recover(stopped)) // stopped again before it began
	must(t, s.registry.Recover(t.Context()))
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(im.digest)); len(got) != 1 || got[0].Incomplete != "" {
		t.Errorf("after the restart the image is %+v", got)
	}
	must(t, s.registry.Recover(t.Context()))
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(im.digest)); len(got) != 1 {
		t.Errorf("a second recovery described it again: %d times", len(got))
	}
}

func TestImageIsDescribedOnceHoweverOftenItIsPushed(t *testing.T) {
	t.Parallel()
	reader := new(counting)
	s := newServer(t, func(c *oci.Config) { c.Layers = reader })
	layer := archive(t, "a", "b")[:700] // an archive that breaks off is not put on the record
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(layer)}, gz(t, layer)[:60])
	for _, tag := range []string{"v1", "v2", "latest"} {
		s.publish(t, "acme/app", tag, im)
	}
	reads := reader.reads.Load()
	s.publish(t, "acme/app", "again", im)
	if got := s.contents(t, string(im.digest)); len(got) != 1 || reader.reads.Load() != reads {
		t.Errorf("%d descriptions, %d reads after %d", len(got), reader.reads.Load(), reads)
	}
}

func TestAttestationDressedUpAsAnImageIsNoImage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(nil)}, []byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
	im.manifest = bytes.ReplaceAll(im.manifest, []byte(layerType), []byte("application/vnd.in-toto+json"))
	s.publish(t, "acme/app", "latest", im)
	must(t, s.registry.Recover(t.Context()))
	must(t, s.registry.Settled(t.Context()))
	if got := s.contents(t, string(digest.FromBytes(im.manifest))); len(got) != 0 {
		t.Errorf("it is described as %+v", got)
	}
}

func TestWhatIsUnknownAboutAnImageIsSaidAndThePushSucceeds(t *testing.T) {
	t.Parallel()
	layer := archive(t, "a", "b")
	diff := digest.FromBytes(layer)
	cut := gz(t, layer)[:40]
	for name, tc := range map[string]struct {
		diffs  []digest.Digest
		blobs  [][]byte
		change func(*oci.Config)
		want   string
	}{
		"another layer than the configuration says": {[]digest.Digest{digest.FromBytes(nil)}, [][]byte{layer}, nil, "layer 0 is not the one that the configuration names"},
		"fewer layers than the configuration says":  {[]digest.Digest{diff, diff}, [][]byte{layer}, nil, "lists 2 layers and the manifest 1"},
		"a layer that cannot be unpacked":           {[]digest.Digest{diff}, [][]byte{cut}, nil, "layer 0 was not read: "},
		"a layer that is no archive":                {[]digest.Digest{diff}, [][]byte{[]byte("text")}, nil, "layer 0"},
		"a configuration that is not valid":         {[]digest.Digest{"rubbish"}, [][]byte{layer}, nil, "the configuration is malformed"},
		"a server that reads no layers":             {[]digest.Digest{diff}, [][]byte{layer}, func(c *oci.Config) { c.Layers = nil }, "does not read layers"},
		"a reader that panics":                      {[]digest.Digest{diff}, [][]byte{layer}, func(c *oci.Config) { c.Layers = panicking{} }, "layer 0 was not read: reading it failed on the server"},
		"a reader that fails":                       {[]digest.Digest{diff}, [][]byte{layer}, func(c *oci.Config) { c.Layers = failing{} }, "layer 0 was not read: reading it failed on the server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := tc.change
			if change == nil {
				change = func(*oci.Config) {}
			}
			s := newServer(t, change)
			im := s.image(t, "acme/app", tc.diffs, tc.blobs...)
			s.publish(t, "acme/app", "latest", im)
			got := s.contents(t, string(im.digest))
			if len(got) != 1 || !strings.Contains(got[0].Incomplete, tc.want) {
				t.Errorf("the image is %+v; want incomplete: %s", got, tc.want)
			}
			s.do(t, "GET", "/v2/acme/app/manifests/latest", nil).want(t, http.StatusOK, "")
		})
	}
}

func TestAnImageCannotClaimTheContentsOfALayerThatItDoesNotHave(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secret := archive(t, "srv/secret.js", "the victim's")
	s.publish(t, "acme/victim", "latest", s.image(t, "acme/victim", []digest.Digest{digest.FromBytes(secret)}, secret))
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(secret)}, gz(t, archive(t, "a", "b"))[:40])
	s.publish(t, "acme/app", "latest", im)
	got := s.contents(t, string(im.digest))
	if len(got) != 1 || len(got[0].Layers) != 0 || got[0].Incomplete == "" {
		t.Errorf("the image is %+v; want no layer and a reason", got)
	}
}

type failing struct{ layers }

func (failing) ReadLayer(r io.Reader) (*evidence.Inventory, error) {
	return nil, errors.New("no memory")
}

type panicking struct{ layers }

func (panicking) ReadLayer(io.Reader) (*evidence.Inventory, error) { panic("index out of range") }

func TestImageThatIsTooLongForAStatementIsCut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var lower, upper []string
	for i := range 2500 {
		lower = append(lower, fmt.Sprintf("app/node_modules/p%d/package.json", i), npmPackage(fmt.Sprintf("package-number-%d", i), "1.0.0"))
	}
	upper = append(upper, "app/.wh.node_modules", "")
	a, b := archive(t, lower...), archive(t, upper...)
	im := s.image(t, "acme/app", []digest.Digest{digest.FromBytes(a), digest.FromBytes(b)}, a, b)
	s.publish(t, "acme/app", "latest", im)
	got := s.contents(t, string(im.digest))
	if len(got) != 1 || !strings.Contains(got[0].Incomplete, "hide more components than a statement takes") || len(got[0].Hidden) < 100 {
		t.Fatalf("%d descriptions", len(got))
	}
}

func TestLayerReaderOfAForgottenUploadEnds(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := newServer(t, func(c *oci.Config) {
		c.Layers = reporting{ended: ended}
		c.Limits.ReaderIdle = time.Millisecond
	})
	layer := archive(t, "a", strings.Repeat("b", 2000))
	at := s.begin(t, "acme/app")
	s.do(t, "PATCH", at, layer[:1024]).want(t, http.StatusAccepted, "")
	if err := <-ended; err == nil {
		t.Error("the reader took the half of a layer for the whole")
	}
	// The upload itself goes on; the layer is read when a manifest names it.
	d := digest.FromBytes(layer)
	s.do(t, "PUT", at+"?digest="+string(d), layer[1024:]).want(t, http.StatusCreated, "")
	s.publish(t, "acme/app", "latest", s.image(t, "acme/app", []digest.Digest{d}, layer))
	if got := s.contents(t, string(d)); len(got) != 1 || got[0].Incomplete != "" {
		t.Errorf("the layer is %+v", got)
	}
}

// reporting says how each reading ended.
type reporting struct {
	layers
	ended chan error
}

func (r reporting) ReadLayer(source io.Reader) (*evidence.Inventory, error) {
	inv, err := r.layers.ReadLayer(source)
	select {
	case r.ended <- err:
	default:
	}
	return inv, err
}
