package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// oci measures the image registry against distribution.
func (b *bench) oci(ctx context.Context) error {
	ours, err := b.startOurs(ctx, "oci")
	if err != nil {
		return err
	}
	defer ours.stop()
	peer, err := b.startDistribution(ctx)
	if err != nil {
		return err
	}
	defer peer.stop()
	if err := b.ociPull(ctx, ours, peer); err != nil {
		return err
	}
	return b.ociPush(ctx, ours, peer)
}

// ociPull measures downloads of a 10 MB blob over 8 connections.
func (b *bench) ociPull(ctx context.Context, ours, peer *server) error {
	layer := static.NewLayer(noise("blob", 10_000_000), types.OCILayer)
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	rate := func(s *server) func(context.Context, int) (float64, error) {
		return func(ctx context.Context, _ int) (float64, error) {
			got, err := load{8, 5 * time.Second, nil}.run(ctx, s.url+"/v2/bench/blob/blobs/"+digest.String())
			return got.perSecond * 10, err // MB
		}
	}
	for _, s := range []*server{ours, peer} {
		if err := s.push(ctx, "bench/blob:1", image); err != nil {
			return err
		}
	}
	our, their, err := b.inTurn(ctx, rate(ours), rate(peer))
	if err != nil {
		return err
	}
	b.report.add(judge("OCI pull of a 10 MB blob, 8 connections", "MB/s", target{ratio: 1}, our, their))
	return nil
}

// The pushed image: four layers of 50 MB compressed, each a few hundred files.
const (
	pushLayers    = 4
	pushLayerSize = 50_000_000
)

// ociPush measures pushes of a 200 MB image. Each round's layers are new to the server, so that
// nothing is stored or read before.
func (b *bench) ociPush(ctx context.Context, ours, peer *server) error {
	say("  making layers")
	layers := make([]string, pushLayers)
	for i := range layers {
		layers[i] = filepath.Join(b.scratch, fmt.Sprintf("layer-%d", i))
		if err := writeLayer(layers[i], i); err != nil {
			return err
		}
	}
	for i, end := range []struct {
		what    string
		settled bool
	}{{"acknowledged", false}, {"its contents are on the record", true}} {
		rate := func(s *server) func(context.Context, int) (float64, error) {
			return func(ctx context.Context, round int) (float64, error) {
				return s.pushRate(ctx, layers, 100*i+round, end.settled && s == ours)
			}
		}
		our, their, err := b.inTurn(ctx, rate(ours), rate(peer))
		if err != nil {
			return err
		}
		b.report.add(judge("OCI push of a 200 MB image, until "+end.what, "MB/s", target{ratio: 1}, our, their))
	}
	return nil
}

// pushRate pushes a fresh image and returns the megabytes a second, until the push is acknowledged
// or, when settled, until the server can say what is inside. Reading that is left over from the
// push is waited for in either case, so that it does not slow the peer's turn.
func (s *server) pushRate(ctx context.Context, layers []string, round int, settled bool) (float64, error) {
	image, err := freshImage(layers, round)
	if err != nil {
		return 0, err
	}
	repository := fmt.Sprintf("bench/push-%d", round)
	began := time.Now()
	if err := s.push(ctx, repository+":1", image); err != nil {
		return 0, err
	}
	acknowledged := time.Since(began)
	if s.token != "" {
		err = s.waitForContents(ctx, repository+":1")
	}
	took := acknowledged
	if settled {
		took = time.Since(began)
	}
	return pushLayers * pushLayerSize / 1e6 / took.Seconds(), err
}

// waitForContents asks for a trace, which waits for what was pushed before.
func (s *server) waitForContents(ctx context.Context, reference string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/trace?q="+url.QueryEscape(reference), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"layer"`))) {
		err = fmt.Errorf("trace of %s: %s: %.200s", reference, resp.Status, body)
	}
	return err
}

// push sends an image with its layers four at a time.
func (s *server) push(ctx context.Context, repository string, image v1.Image) error {
	ref, err := name.ParseReference(strings.TrimPrefix(s.url, "http://")+"/"+repository, name.Insecure)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithJobs(4), remote.WithTransport(http.DefaultTransport)}
	if s.token != "" {
		options = append(options, remote.WithAuth(&authn.Basic{Username: "admin", Password: s.token}))
	}
	if err := remote.Write(ref, image, options...); err != nil {
		return fmt.Errorf("%s: push: %w", s.name, err)
	}
	return nil
}

// freshImage puts a file that only this round has in front of every layer's files, as a gzip
// member and tar entries of its own: new digests without compressing anything again.
func freshImage(layers []string, round int) (v1.Image, error) {
	image := empty.Image
	for i, path := range layers {
		var head bytes.Buffer
		if err := writeFiles(&head, []file{{fmt.Sprintf("round-%d-%d", round, i), noise("round", 64)}}, false); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return joined(head.Bytes(), path) },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	return image, nil
}

// joined reads head and then the file.
func joined(head []byte, path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), f), f}, nil
}

// writeLayer writes a gzipped tar of about pushLayerSize bytes. Of the bytes in it half do not
// compress, as in executables and media, and half do, as in text; half are in files that are
// indexed, about as in a Debian image.
func writeLayer(path string, seed int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const dense = 90_000 // bytes a group of files packs to
	var files []file
	for i := range pushLayerSize / dense {
		key := fmt.Sprintf("layer-%d-%d", seed, i)
		text := bytes.Repeat([]byte("exports."+key+" = require('./"+key+"')\n"), dense/40)
		random := noise(key, dense)
		files = append(files,
			file{"usr/lib/" + key + ".so", random[:dense*2/3]}, file{"usr/lib/" + key + ".js", text[:len(text)/3]},
			file{"usr/share/" + key + ".dat", random[dense*2/3:]}, file{"usr/share/" + key + ".txt", text[len(text)/3:]})
	}
	if err := writeFiles(f, files, true); err != nil {
		return err
	}
	return f.Close()
}
