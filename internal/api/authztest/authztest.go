// Package authztest is the authorisation matrix: every route × role × whose namespace it is, with
// the outcome computed from what the route table declares. A route that the world has no request
// for fails, so that none goes untested.
//
// The rows come from api/openapi.yaml ([FromDocument]) and from the registries' route tables
// ([FromRoutes]). The outcome is the HTTP status alone: the matrix does not know what a route does.
package authztest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// accessAdmin is the access that only the REST interface has.
const accessAdmin = "admin"

// AccessFleet is the access of the Fleet service: members of the fleet only, who are no accounts.
const AccessFleet = "fleet"

// AccessScanner is for secret scanners, who sign their reports and are no accounts either.
const AccessScanner = "scanner"

// Row is a route with what it declares.
type Row struct {
	Table      string // which route table: "api", "npm", "oci"
	Method     string
	Pattern    string // below the table's prefix
	Access     string // see registry.Route, or "admin"
	Permission evidence.Permission
	Admin      bool // site administrators need no permission
}

func (r Row) String() string { return r.Table + " " + r.Method + " " + r.Pattern }

// FromRoutes returns the rows of a registry's route table.
func FromRoutes(table string, routes []registry.Route) []Row {
	rows := make([]Row, len(routes))
	for i, r := range routes {
		rows[i] = Row{Table: table, Method: r.Method, Pattern: r.Pattern, Access: r.Access, Permission: r.Permission}
	}
	return rows
}

// FromDocument returns the rows of the OpenAPI document in file, in a stable order.
func FromDocument(t testing.TB, table, file string) []Row {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]struct {
			Access     string              `yaml:"x-hullmark-access"`
			Permission evidence.Permission `yaml:"x-hullmark-permission"`
			Admin      bool                `yaml:"x-hullmark-admin"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var rows []Row
	for path, operations := range d.Paths {
		for method, o := range operations {
			rows = append(rows, Row{
				Table: table, Method: strings.ToUpper(method), Pattern: path, Access: o.Access, Permission: o.Permission, Admin: o.Admin,
			})
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.String(), b.String()) })
	return rows
}

// Role is who asks.
type Role string

// The roles. Reader, Maintainer and Owner are so in the organisation that owns [Own].
const (
	Anonymous  Role = "anonymous"
	Outsider   Role = "outsider" // has an account and no role anywhere
	Reader     Role = "reader"
	Maintainer Role = "maintainer"
	Owner      Role = "owner"
	Admin      Role = "admin" // site administrator without a role anywhere
)

// Rival owns [Other] and nothing else. The matrix does not ask as them: worlds do, to make things
// there.
const Rival Role = "rival"

// Roles returns who asks in the matrix.
func Roles() []Role { return []Role{Anonymous, Outsider, Reader, Maintainer, Owner, Admin} }

// Target is whose namespace is asked about. Namespaces are private.
type Target string

// The targets.
const (
	Own   Target = "own"   // of the organisation that the roles are in
	Other Target = "other" // of an organisation that none of them is in
	None  Target = "none"  // of nobody
)

// World makes the requests of the matrix.
type World interface {
	// Request returns a well-formed request for the row about the target, for role to send, for
	// which everything is prepared: sent by who may, it succeeds (what [None] names is not there).
	// It is called once per cell, and may change things, so that a cell does not depend on the one
	// before. nil means that the world does not know the row.
	Request(t *testing.T, row Row, role Role, target Target) *http.Request
	// Authorization returns the role's Authorization header, empty for [Anonymous].
	Authorization(role Role) string
}

// outcome is what a cell expects.
type outcome string

const (
	allowed outcome = "allowed"
	login   outcome = "401"
	refused outcome = "401, 403 or 404" // 401 only to the anonymous
	defined outcome = "anything but a failure of ours"
)

// holds reports whether a status is the outcome.
func (o outcome) holds(role Role, status int) bool {
	refusal := status == http.StatusForbidden || status == http.StatusNotFound
	switch {
	case status >= 500:
		return false
	case o == allowed:
		return status != http.StatusUnauthorized && !refusal
	case o == login:
		return status == http.StatusUnauthorized
	case o == refused:
		return refusal || role == Anonymous && status == http.StatusUnauthorized
	}
	return true
}

// expect computes a cell from what its row declares.
func expect(row Row, role Role, target Target) outcome {
	switch row.Access {
	case registry.AccessAnyone:
		return allowed
	case AccessFleet, AccessScanner:
		return login
	case registry.AccessAccount, accessAdmin:
		switch {
		case role == Anonymous:
			return login
		case row.Access == accessAdmin && role != Admin:
			return refused
		}
		return allowed
	}
	return expectNamespace(row, role, target)
}

func expectNamespace(row Row, role Role, target Target) outcome {
	if role == Anonymous && (row.Permission != evidence.Read || row.Access == registry.AccessOrganisation) {
		return login
	}
	if role == Admin && (row.Admin || row.Access == registry.AccessOrganisation || row.Permission == evidence.Read) {
		if target == None {
			return defined // there may be nothing to do it to
		}
		return allowed
	}
	if target != Own {
		return refused
	}
	may := map[Role][]evidence.Permission{
		Reader:     {evidence.Read},
		Maintainer: {evidence.Read, evidence.Stage, evidence.Publish},
		Owner:      {evidence.Read, evidence.Stage, evidence.Publish, evidence.Own},
	}
	if slices.Contains(may[role], row.Permission) {
		return allowed
	}
	return refused
}

// Run sends every cell's request to handler and compares its status. It returns how many there were.
func Run(t *testing.T, handler http.Handler, rows []Row, w World) (cells int) {
	t.Helper()
	for _, row := range rows {
		if problem := row.check(); problem != "" {
			t.Errorf("%s: %s", row, problem)
			continue
		}
		for _, target := range row.targets() {
			for _, role := range Roles() {
				cells++
				if err := cell(t, handler, w, row, role, target); err != nil {
					t.Error(err)
				}
			}
		}
	}
	t.Logf("%d routes, %d cells", len(rows), cells)
	if cells == 0 {
		t.Error("the matrix is empty")
	}
	return cells
}

// check says what is wrong with a row's declaration.
func (r Row) check() string {
	switch r.Access {
	case registry.AccessAnyone, registry.AccessAccount, accessAdmin, AccessFleet, AccessScanner:
		if r.Permission != "" {
			return "declares a permission that nothing asks for"
		}
		return ""
	case registry.AccessNamespace, registry.AccessOrganisation:
		if !slices.Contains([]evidence.Permission{evidence.Read, evidence.Stage, evidence.Publish, evidence.Own}, r.Permission) {
			return fmt.Sprintf("declares the permission %q, which is none", r.Permission)
		}
		return ""
	}
	return fmt.Sprintf("declares the access %q, which is none", r.Access)
}

func (r Row) targets() []Target {
	if r.Access == registry.AccessNamespace || r.Access == registry.AccessOrganisation {
		return []Target{Own, Other, None}
	}
	return []Target{Own} // whose it is does not matter
}

func cell(t *testing.T, handler http.Handler, w World, row Row, role Role, target Target) error {
	t.Helper()
	request := w.Request(t, row, role, target)
	if request == nil {
		return fmt.Errorf("%s: the world has no request for this route; add one", row)
	}
	if header := w.Authorization(role); header != "" {
		request.Header.Set("Authorization", header)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	want := expect(row, role, target)
	if want.holds(role, answer.Code) {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	return fmt.Errorf("%s, %s, namespace %s: got %d, want %s\n%s", row, role, target, answer.Code, want, body)
}
