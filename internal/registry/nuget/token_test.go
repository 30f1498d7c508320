package nuget_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget"
)

// exchanger takes one identity token.
type exchanger struct{}

func (exchanger) Audience(string) string { return "nuget:registry.example" }

func (exchanger) Exchange(_ context.Context, r registry.ExchangeRequest) (registry.Minted, error) {
	if r.Ecosystem != purl.NuGet || r.Name != "" || r.Token != "good" {
		return registry.Minted{}, fault.New(fault.Denied, "publisher-mismatch", "no publisher matches this run")
	}
	return registry.Minted{Secret: "hm_key", Expires: day.Add(time.Hour)}, nil
}

func TestAPipelinesIdentityIsExchangedForAKey(t *testing.T) {
	t.Parallel()
	in := start(t, nil, func(c *nuget.Config) { c.Trust = exchanger{} })
	ask := func(body string, header ...string) reply {
		return in.do(t, "", "POST", "api/v2/token", strings.NewReader(body), append([]string{"Content-Type", "application/json", "User-Agent", "NuGet/login", "Authorization", "Bearer good"}, header...)...)
	}
	const body = `{"username": "acme", "tokenType": "ApiKey"}`
	ask(body).want(t, 200, `"tokenType":"ApiKey"`, `"apiKey":"hm_key"`, `"expires":"2026-03-01T13:00:00.000+00:00"`)
	ask(body, "User-Agent", "").want(t, 400, "User-Agent")
	ask(body, "Content-Type", "text/plain").want(t, 415)
	ask(`{"tokenType": "Password"}`).want(t, 400)
	ask(`{`).want(t, 400)
	for _, authorization := range []string{"", "Basic good", "Bearer bad"} {
		got := ask(body, "Authorization", authorization).want(t, 401)
		if got.Header.Get("Www-Authenticate") != "Bearer" || !strings.Contains(string(got.body), `"error":"`) {
			t.Errorf("%q: got %v %s", authorization, got.Header, got.body)
		}
	}
	ask(body, "Authorization", "Bearer bad").want(t, 401, "401 no publisher matches this run")
	start(t, nil).do(t, "", "POST", "api/v2/token", strings.NewReader(body), "Content-Type", "application/json").want(t, 405)
}
