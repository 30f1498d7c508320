package nuget_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/registry/nuget/nugettest"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// instance is a registry over real stores, behind a real server.
type instance struct {
	*accounttest.World
	url  string // with the final slash
	core *registry.Core
}

// owners is the account service in the words of the adapter.
type owners struct{ *account.Service }

func (o owners) Owner(ctx context.Context, name string) (string, error) {
	n, err := o.Namespace(ctx, purl.NuGet, name)
	return n.Organisation, err
}

// start runs a registry in which alice owns acme.* and bob has nothing; settings may change it.
func start(t testing.TB, upstreams []string, settings ...func(*nuget.Config)) *instance {
	t.Helper()
	in := &instance{World: accounttest.New(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), registry.Schema(), upstream.Schema())}
	in.Users(map[string]account.Role{"alice": account.Owner, "bob": ""})
	in.Claim(purl.NuGet, account.Public, "acme.*")
	in.Claim(purl.NuGet, account.Private, "hush.*")
	clk := in.Clock()
	in.core = registry.New(in.Record, in.Blobs, in.Accounts).WithCooldowns(in.Accounts, clk).WithOwners(in.Accounts)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	accounttest.Check(t, err)
	in.url = "http://" + listener.Addr().String() + "/nuget/"
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg := nuget.Config{PublicURL: in.url, Owners: owners{in.Accounts}, Clock: clk, Log: log}
	if len(upstreams) > 0 {
		var s upstream.Settings
		for _, u := range upstreams {
			s.Sources = append(s.Sources, upstream.Source{Ecosystem: purl.NuGet, URL: u})
		}
		client, err := upstream.New(in.core, s, clk, log)
		accounttest.Check(t, err)
		t.Cleanup(func() { client.Close() })
		cfg.Upstream = client
	}
	for _, set := range settings {
		set(&cfg)
	}
	reg, err := nuget.New(in.core, cfg)
	accounttest.Check(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.StripPrefix("/nuget", reg.Handler())}}
	server.Start()
	t.Cleanup(server.Close)
	return in
}

// pack makes a package of its nuspec and of files: name, content pairs.
func pack(t testing.TB, id, version, more string, files ...string) []byte {
	t.Helper()
	return nugettest.Package{ID: id, Version: version, More: more, Files: files}.Bytes()
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

// push sends a package as nuget push does.
func (in *instance) push(t testing.TB, user, path string, pkg []byte) reply {
	t.Helper()
	form, kind := nugettest.Form(pkg)
	return in.do(t, user, "PUT", path, bytes.NewReader(form), "Content-Type", kind)
}

// do sends a request as user ("" for nobody); header is key, value pairs.
func (in *instance) do(t testing.TB, user, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, in.url+path, body)
	accounttest.Check(t, err)
	if user != "" {
		req.Header.Set("X-NuGet-ApiKey", in.Tokens[user])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := new(http.Transport).RoundTrip(req)
	accounttest.Check(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	accounttest.Check(t, err)
	return reply{resp, data}
}

func (in *instance) get(t testing.TB, path string) reply {
	t.Helper()
	return in.do(t, "", "GET", path, nil)
}

// want fails unless the answer has the status and, in its status line or body, every text.
func (r reply) want(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s answered %s, want %d: %.400s", r.Request.Method, r.Request.URL.Path, r.Status, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(r.Status+string(r.body), text) {
			t.Fatalf("%s %s answered without %q: %s %.3000s", r.Request.Method, r.Request.URL.Path, text, r.Status, r.body)
		}
	}
	return r
}

// lacks fails when the body has a text.
func (r reply) lacks(t testing.TB, text string) reply {
	t.Helper()
	if strings.Contains(string(r.body), text) {
		t.Fatalf("%s %s answered with %q: %.3000s", r.Request.Method, r.Request.URL.Path, text, r.body)
	}
	return r
}

func (r reply) json(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%s: %v: %.400s", r.Request.URL.Path, err, r.body)
	}
}

// recall stops a release.
func (in *instance) recall(t testing.TB, p string) {
	t.Helper()
	_, err := in.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: p}}, Predicate: evidence.Recall{Reason: "steals", Actor: in.Admin}, Issuer: in.Admin.Issuer(), Assurance: evidence.Authenticated,
	})
	accounttest.Check(t, err)
}
