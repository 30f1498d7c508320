package oci_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/image"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/oci"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// layers is the image package as the registry sees it.
type layers struct{}

func (layers) ReadLayer(r io.Reader) (*evidence.Inventory, error) { return image.ReadLayer(r) }

func (layers) Hidden(inventories []*evidence.Inventory) []evidence.HiddenComponent {
	stack := make([]image.Layer, len(inventories))
	for i, inv := range inventories {
		stack[i].Inventory = inv
	}
	return image.Squash(stack).Hidden
}

func (layers) ReadConfig(raw []byte) (oci.ImageConfig, error) {
	c, err := image.ParseConfig(raw)
	if err != nil {
		return oci.ImageConfig{}, err
	}
	return oci.ImageConfig{DiffIDs: c.RootFS.DiffIDs, Instructions: c.Instructions(), Platform: c.Platform()}, nil
}

// server is a registry on a real store, with an organisation "acme" that owns the path prefix
// "acme" (private) and the prefix "open" (public), and a token of its owner.
type server struct {
	*httptest.Server
	folder   string
	core     *registry.Core
	accounts *account.Service
	registry *oci.Registry
	admin    evidence.Actor
	token    string // the owner's
	config   oci.Config
}

func newServer(t testing.TB, change ...func(*oci.Config)) *server {
	t.Helper()
	return openServer(t, t.TempDir(), change...)
}

func openServer(t testing.TB, folder string, change ...func(*oci.Config)) *server {
	t.Helper()
	ctx := context.Background()
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	must(t, err)
	db, err := sqlite.Open(filepath.Join(folder, "db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(ctx, evidence.Schema(), registry.Schema(), account.Schema()))
	record, err := evidence.Open(ctx, db, blobs, clock.System{})
	must(t, err)
	s := &server{folder: folder, accounts: account.New(db, clock.System{}, rand.Reader)}
	s.core = registry.New(record, blobs, s.accounts)
	s.config = oci.Config{
		Key: []byte(strings.Repeat("k", 32)), Layers: layers{}, Accounts: s.accounts,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	}
	for _, c := range change {
		c(&s.config)
	}
	s.registry, err = oci.New(s.core, s.config)
	must(t, err)
	s.Server = httptest.NewServer(s.registry.Handler())
	t.Cleanup(s.close)
	s.bootstrap(t)
	return s
}

func (s *server) close() {
	s.Server.Close()
	s.registry.Close()
}

func (s *server) bootstrap(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	token, created, err := s.accounts.Bootstrap(ctx)
	must(t, err)
	if !created {
		return // opened again: the test kept the token
	}
	s.token = token
	s.admin, err = s.accounts.AuthenticateSecret(ctx, "admin", token, "127.0.0.1:1")
	must(t, err)
	must(t, s.accounts.CreateOrganisation(ctx, s.admin, "acme"))
	must(t, s.accounts.ClaimNamespace(ctx, s.admin, "acme", "oci", "acme", account.Private))
	must(t, s.accounts.ClaimNamespace(ctx, s.admin, "acme", "oci", "open", account.Public))
	must(t, s.accounts.ClaimNamespace(ctx, s.admin, "acme", "oci", "conformance", account.Private))
}

// reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body []byte
}

// do sends a request as the owner, or as nobody when the header map has an empty Authorization.
func (s *server) do(t testing.TB, method, path string, body []byte, header ...string) reply {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.URL + path
	}
	req, err := http.NewRequest(method, path, bytes.NewReader(body))
	must(t, err)
	req.SetBasicAuth("admin", s.token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if req.Header.Get("Authorization") == "" {
		req.Header.Del("Authorization")
	}
	resp, err := s.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{resp, raw}
}

// want fails the test unless the answer has the status and, for errors, the OCI code.
func (r reply) want(t testing.TB, status int, code string) reply {
	t.Helper()
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if code != "" {
		json.Unmarshal(r.body, &e)
	}
	if r.StatusCode != status || code != "" && (len(e.Errors) != 1 || e.Errors[0].Code != code || e.Errors[0].Message == "") {
		t.Fatalf("%s %s = %d %s; want %d %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.body, status, code)
	}
	return r
}

// push uploads a blob in one request.
func (s *server) push(t testing.TB, repository string, content []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(content)
	s.do(t, "POST", "/v2/"+repository+"/blobs/uploads/?digest="+string(d), content).want(t, http.StatusCreated, "")
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testWriter sends the server's log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// breakOff sends a PATCH that announces more bytes than it has, and hangs up.
func (s *server) breakOff(t testing.TB, path, part string, announced int) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, basic("admin", s.token), announced, part)
	must(t, err)
	must(t, conn.(*net.TCPConn).CloseWrite())
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
