package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/registry/nuget/nugettest"
)

const (
	nugetVersions = 500
	nugetPackage  = "bench.large"
	nugetHive     = "/nuget/v3/registration-gz-semver2/" + nugetPackage
)

// nuget measures registrations of a package with 500 versions, which have eight pages.
func (b *bench) nuget(ctx context.Context) error {
	ours, err := b.startOurs(ctx, "nuget")
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := b.tell(ctx, ours, []string{"namespace", "claim", "nuget", "bench.*", "--org", "bench", "--public"}); err != nil {
		return err
	}
	say("  publishing %d versions", nugetVersions)
	for i := range nugetVersions {
		if err := ours.pushNuGet(ctx, fmt.Sprintf("1.%d.0", i)); err != nil {
			return err
		}
	}
	gzip := []string{"Accept-Encoding: gzip"}
	for _, c := range []struct {
		name, path string
		headers    []string
	}{
		{"NuGet registration, 500 versions, index", "/index.json", nil},
		{"NuGet registration, a page of 64", "/page/1.0.0/1.63.0.json", nil},
		{"NuGet registration, a page of 64, gzip", "/page/1.0.0/1.63.0.json", gzip},
	} {
		var rates []float64
		for range b.rounds {
			got, err := load{32, 5 * time.Second, c.headers}.run(ctx, ours.url+nugetHive+c.path)
			if err != nil {
				return err
			}
			rates = append(rates, got.perSecond)
		}
		b.report.add(judge(c.name, "req/s", target{atLeast: 5000}, rates, nil))
	}
	return nil
}

// pushNuGet publishes a version with a dependency and a description, as packages have them.
func (s *server) pushNuGet(ctx context.Context, version string) error {
	more := `<dependencies><group targetFramework="net8.0"><dependency id="Bench.Core" version="1.0.0"/></group></dependencies>`
	body, kind := nugettest.Form(nugettest.Package{ID: "Bench.Large", Version: version, More: more}.Bytes())
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+"/nuget/api/v2/package", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-NuGet-ApiKey", s.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		return fmt.Errorf("push %s: %s: %s, %w", version, resp.Status, text, err)
	}
	return nil
}
