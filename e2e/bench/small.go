package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
)

// What is read among many releases, besides the npm package: one small release of each ecosystem.
const (
	smallProject  = "bench-small" // of Python, and a gem
	smallArtifact = "/maven/com/bench/small/"
	smallPOM      = `<project><modelVersion>4.0.0</modelVersion><groupId>com.bench</groupId><artifactId>small</artifactId><version>1.0</version></project>`
)

// scaleFixtures publishes what is read.
func (b *bench) scaleFixtures(ctx context.Context, s *server) error {
	for i := range smallCount {
		if _, err := s.publish(ctx, release{name: smallPackage, version: fmt.Sprintf("1.%d.0", i), bulk: 380, tarball: 58_600}); err != nil {
			return err
		}
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(noise("layer", 100_000), types.OCILayer))
	if err != nil {
		return err
	}
	if err := s.push(ctx, "bench/small:1", image); err != nil {
		return err
	}
	err = b.tell(ctx, s,
		[]string{"namespace", "claim", "pypi", "bench-*", "--org", "bench", "--public"},
		[]string{"namespace", "claim", "gem", "bench-*", "--org", "bench", "--public"},
		[]string{"namespace", "claim", "nuget", "bench.*", "--org", "bench", "--public"},
		[]string{"namespace", "claim", "maven", "com.bench", "--org", "bench", "--public"},
		[]string{"namespace", "prove", "maven", "com.bench", "--vouch"})
	if err != nil {
		return err
	}
	if err := s.uploadWheel(ctx, pypitest.Dist{Name: smallProject, Version: "1.0", RequiresPython: ">=3.8"}); err != nil {
		return err
	}
	if err := s.pushGem(ctx, gemtest.Gem{Name: smallProject, Version: "1.0", Dependencies: map[string]string{"rack": ">= 2"}}); err != nil {
		return err
	}
	if err := s.deploy(ctx, smallArtifact+"1.0/small-1.0.pom", []byte(smallPOM)); err != nil {
		return err
	}
	if err := s.deploy(ctx, smallArtifact+"1.0/small-1.0.bin", noise("artifact", 20_000)); err != nil {
		return err
	}
	return s.pushNuGet(ctx, "1.0.0")
}

// pushGem publishes a gem as gem does.
func (s *server) pushGem(ctx context.Context, g gemtest.Gem) error {
	return s.send(ctx, http.MethodPost, "/gems/api/v1/gems", s.token, g.Bytes())
}

// deploy puts a file into the Maven repository.
func (s *server) deploy(ctx context.Context, path string, content []byte) error {
	return s.send(ctx, http.MethodPut, path, "Bearer "+s.token, content)
}

// send sends a body and expects that it is taken.
func (s *server) send(ctx context.Context, method, path, authorization string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s, %w", method, path, answer.Status, text, err)
	}
	return nil
}
