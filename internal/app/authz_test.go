package app_test

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/console"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi"
)

// tables are the mounts whose routes are in route tables.
var tables = append([]string{"/npm/", "/-/npm/v1/oidc/", "/v2/", "/token", "/gems/", "/maven/", "/nuget/", "/pypi/", "/_/oidc/", pypi.DiscoveryPath, api.Prefix + "/"}, console.Mounts()...)

// untabled are the routes below the other mounts. Checkpoints and hashes are for every auditor; what
// the hashes stand for names private packages.
var untabled = []authztest.Row{
	{Table: "app", Method: "GET", Pattern: "/", Access: registry.AccessAnyone},
	{Table: "app", Method: "GET", Pattern: "/log/key", Access: registry.AccessAnyone},
	{Table: "app", Method: "GET", Pattern: "/.well-known/security.txt", Access: registry.AccessAnyone},
	{Table: "app", Method: "GET", Pattern: "/log/checkpoint", Access: registry.AccessAnyone},
	{Table: "app", Method: "GET", Pattern: "/log/tile/0/000.p/{width}", Access: registry.AccessAnyone},
	{Table: "app", Method: "POST", Pattern: fleet.Mount + "Watch", Access: authztest.AccessFleet},
	{Table: "app", Method: "POST", Pattern: fleet.Mount + "Report", Access: authztest.AccessFleet},
	{Table: "app", Method: "POST", Pattern: fleet.Mount + "Image", Access: authztest.AccessFleet},
	{Table: "app", Method: "POST", Pattern: "/-/secrets/report", Access: authztest.AccessScanner},
	{Table: "app", Method: "POST", Pattern: "/gems/api/v1/api_key/revoke", Access: authztest.AccessScanner},
	{Table: "app", Method: "GET", Pattern: "/log/tile/entries/000.p/{width}", Access: api.AccessAdmin},
	{Table: "app", Method: "GET", Pattern: "/log/tile%2fentries/000.p/{width}", Access: api.AccessAdmin},
}

// minCells is what the whole matrix has at least. It only grows: a table that is no longer asked is noticed.
const minCells = 3000

func TestEveryGateDoesWhatItsRouteTableSays(t *testing.T) {
	t.Parallel()
	var sum atomic.Int64
	run := func(t *testing.T, h http.Handler, rows []authztest.Row, w authztest.World) {
		t.Helper()
		sum.Add(int64(authztest.Run(t, h, rows, w)))
	}
	t.Cleanup(func() { // once the tables are through, which run at once
		t.Logf("%d cells over all tables", sum.Load())
		part := strings.Contains(flag.Lookup("test.run").Value.String(), "/")
		if sum.Load() < minCells && !part {
			t.Errorf("the matrix has %d cells, want at least %d", sum.Load(), minCells)
		}
	})
	t.Run("api", func(t *testing.T) {
		t.Parallel()
		a, s, people := matrixServer(t)
		w := authztest.NewAPI(t, people, a.Record, api.Prefix).Trusting(t, a.Trust)
		_, err := a.Log.Sequence(t.Context()) // there is something to prove
		must(t, err)
		run(t, s.Handler(), authztest.FromDocument(t, "api", "../../api/openapi.yaml"), w)
	})
	t.Run("npm", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		run(t, s.Handler(), authztest.FromRoutes("npm", s.NPM.Routes()), newNPMWorld(people, s.Handler()))
	})
	t.Run("maven", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		run(t, s.Handler(), authztest.FromRoutes("maven", s.Maven.Routes()), newMavenWorld(t, people, s.Handler()))
	})
	t.Run("oci", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		run(t, s.Handler(), authztest.FromRoutes("oci", s.OCI.Routes()), newOCIWorld(t, people, s.Handler()))
	})
	t.Run("oci with bearer tokens", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		rows := authztest.FromRoutes("oci", s.OCI.Routes())
		rows = slices.DeleteFunc(rows, func(r authztest.Row) bool { return r.Pattern == "/token" }) // takes no bearer token
		run(t, s.Handler(), rows, withBearers(t, newOCIWorld(t, people, s.Handler())))
	})
	t.Run("gem", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		run(t, s.Handler(), authztest.FromRoutes("gem", s.Gem.Routes()), newGemWorld(t, people, s.Handler()))
	})
	t.Run("nuget", func(t *testing.T) {
		t.Parallel()
		_, s, people := matrixServer(t)
		run(t, s.Handler(), authztest.FromRoutes("nuget", s.NuGet.Routes()), newNuGetWorld(t, people, s.Handler()))
	})
	t.Run("console", func(t *testing.T) {
		t.Parallel()
		w, s := newConsoleWorld(t)
		run(t, s.Handler(), authztest.FromRoutes("console", s.Console.Routes()), w)
	})
	t.Run("everything else", func(t *testing.T) {
		t.Parallel()
		a, s, people := matrixServer(t)
		w := authztest.NewAPI(t, people, a.Record, api.Prefix)
		head, err := a.Log.Sequence(t.Context())
		must(t, err)
		run(t, s.Handler(), untabled, logWorld{w.People, fmt.Sprint(head.Size)})
	})
}

// logWorld makes the requests of the routes without a table.
type logWorld struct {
	*authztest.People
	width string // of the log's only tile
}

func (w logWorld) Request(t *testing.T, row authztest.Row, _ authztest.Role, _ authztest.Target) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), row.Method, strings.ReplaceAll(row.Pattern, "{width}", w.width), nil)
}

func TestNothingIsServedThatTheMatrixDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := listen(t, open(t, app.Config{Data: t.TempDir()}))
	for _, mount := range s.Mounts() {
		_, path, found := strings.Cut(mount, " ")
		path = strings.TrimSuffix(cmp.Or(path, mount), "{$}")
		known := slices.ContainsFunc(untabled, func(r authztest.Row) bool {
			return r.Pattern == path || !found && strings.HasPrefix(r.Pattern, path)
		})
		if !known && !slices.Contains(tables, mount) {
			t.Errorf("%s is served and in no table: list its routes with who may call them", mount)
		}
	}
}

// public is the target of a namespace that anyone may read; [authztest.Rival] owns it.
const public authztest.Target = "open"

func TestAnyoneReadsWhatIsPublicAndNobodyElseChangesIt(t *testing.T) {
	t.Parallel()
	_, s, people := matrixServer(t)
	rival := people.Actor(t, authztest.Rival)
	must(t, people.Accounts.ClaimNamespace(t.Context(), rival, "other", purl.NPM, "@open", account.Public))
	must(t, people.Accounts.ClaimNamespace(t.Context(), rival, "other", purl.OCI, "open", account.Public))
	npm, oci := authztest.FromRoutes("npm", s.NPM.Routes()), authztest.FromRoutes("oci", s.OCI.Routes())
	worlds := map[string]authztest.World{"npm": newNPMWorld(people, s.Handler()), "oci": newOCIWorld(t, people, s.Handler(), public)}
	for _, row := range slices.Concat(npm, oci) {
		for _, role := range authztest.Roles() {
			if row.Access != registry.AccessNamespace {
				continue
			}
			w := worlds[row.Table]
			got := send(s.Handler(), w.Request(t, row, role, public), w.Authorization(role))
			if want := publicStatus(row, role); got.Code/100 != want/100 || want >= 400 && got.Code != want {
				t.Errorf("%s, %s: got %d, want %d\n%s", row, role, got.Code, want, got.Body)
			}
		}
	}
}

func publicStatus(row authztest.Row, role authztest.Role) int {
	switch {
	case row.Permission == evidence.Read:
		return http.StatusOK
	case role == authztest.Anonymous:
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// cells is what the worlds of all package registries share: in each, every cell that changes something has a name
// of its own.
type cells struct {
	*authztest.People
	handler http.Handler
	made    map[string]bool // names
	n       int
}

func newCells(people *authztest.People, h http.Handler) cells {
	return cells{People: people, handler: h, made: map[string]bool{}}
}

// first reports whether nothing was made under the name yet.
func (c *cells) first(name string) bool {
	again := c.made[name]
	c.made[name] = true
	return !again
}

// claim gives both organisations the names that begin with theirs.
func claim(t *testing.T, people *authztest.People, ecosystem, rest string) {
	t.Helper()
	for _, target := range []authztest.Target{authztest.Own, authztest.Other} {
		must(t, people.Accounts.ClaimNamespace(t.Context(), people.Actor(t, holder(target)), string(target), ecosystem, string(target)+rest, account.Private))
	}
}
