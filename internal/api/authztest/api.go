package authztest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/osv"
	"github.com/hullmark/hullmark/internal/recall/report"
)

// aPolicy is a policy set that is another one for each number.
const aPolicy = `apiVersion: hullmark.dev/v1
kind: Policy
metadata: {name: p%d}
spec:
  stage: audit
  checks: [{name: known, expression: record.known, message: unknown, missing: a record}]
`

// API makes the requests of the REST interface. Mount is what comes before a row's pattern.
type API struct {
	*People
	Record  *evidence.Record
	Reports *report.Service
	Mount   string
	n       int
	// enrolled is who got an authenticator app for the last row, and has none in the next.
	enrolled Role

	trusted *trusted
}

// NewAPI returns the requests for an interface on people's accounts and record, into which it
// publishes a package and an image for each organisation, and a package that nobody owns and
// everybody may read.
func NewAPI(t testing.TB, people *People, record *evidence.Record, mount string) *API {
	t.Helper()
	a := &API{People: people, Record: record, Mount: mount, Reports: report.New(report.Config{
		DB: record.DB(), Accounts: people.Accounts, Recalls: recall.New(record, people.Accounts, nil), Clock: clock.System{}, Random: rand.Reader,
	})}
	for _, target := range []Target{Own, Other} {
		actor := evidence.Actor{Account: string(target) + "-ci", Credential: "token:tok_ci", Method: "token"}
		a.publish(t, actor, purl.NPM, "@"+string(target)+"/ui", "1.0.0", a.purl(target))
		a.publish(t, actor, purl.NPM, "@"+string(target)+"/recalled", "1.0.0", a.recallable(target))
		d := a.Digest(target)
		a.publish(t, actor, purl.OCI, string(target)+"/app", string(d), purl.Image(string(target)+"/app", string(d)))
	}
	everyone := evidence.Actor{Account: "someone", Credential: "token:tok_ci", Method: "token"}
	a.publish(t, everyone, purl.NPM, "public", "1.0.0", purl.New(purl.NPM, "public", "1.0.0"))
	return a
}

func (a *API) purl(target Target) purl.PURL {
	return purl.New(purl.NPM, "@"+string(target)+"/ui", "1.0.0")
}

// recallable is what recalls are about: another name, because a recall that one row leaves in force
// would stand in the way of others.
func (a *API) recallable(target Target) purl.PURL {
	return purl.New(purl.NPM, "@"+string(target)+"/recalled", "1.0.0")
}

// Digest returns the manifest of the target's image.
func (a *API) Digest(target Target) digest.Digest { return digest.FromBytes([]byte(target)) }

func (a *API) publish(t testing.TB, actor evidence.Actor, ecosystem, name, version string, p purl.PURL) {
	t.Helper()
	d, err := digest.Parse(version)
	if err != nil {
		d = digest.FromBytes([]byte(name))
	}
	_, err = a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)},
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: ecosystem, Name: name, Version: version, Artifact: d, Size: 1, Actor: actor,
		},
		Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
}

// Request implements World.
func (a *API) Request(t *testing.T, row Row, role Role, target Target) *http.Request {
	t.Helper()
	a.n++
	a.unenrol(t)
	path := row.Pattern
	for name, value := range a.values(t, row, role, target) {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	query, known := a.queries(target)[row.Method+" "+row.Pattern]
	body, hasBody := a.bodies(target)[row.Method+" "+row.Pattern]
	if strings.Contains(path, "{") || !known && !hasBody {
		return nil
	}
	code, proof := a.factor(t, row, role)
	if row.Pattern == "/email/verification" && role != Anonymous {
		code = a.mailed(t, role)
	}
	if code != "" {
		body = fmt.Sprintf(`{"code": %q}`, code)
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, a.Mount+path+query, strings.NewReader(body))
	if proof != "" {
		r.Header.Set(resource.OTPHeader, proof)
	}
	if hasBody {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// values are what a row's path parameters are set to; what they name is made where the row needs
// something of its own.
func (a *API) values(t *testing.T, row Row, role Role, target Target) map[string]string {
	t.Helper()
	values := map[string]string{
		"subject": string(a.purl(target)), "ecosystem": "npm", "name": "@" + string(target) + "/ui",
		"digest": string(a.Digest(target)), "organisation": string(target), "account": "spare",
	}
	a.trustValues(t, row.Pattern, target, values)
	switch row.Pattern {
	case "/namespaces/{ecosystem}/{name}", "/namespaces/{ecosystem}/{name}/hold-settings":
		values["name"] = "@" + string(target)
	case "/namespaces/{ecosystem}/{name}/offer":
		values["name"] = "@" + string(target)
	case "/namespaces/{ecosystem}/{name}/keys":
		values["name"] = "@" + string(target)
	case "/namespaces/{ecosystem}/{name}/keys/{fingerprint}":
		values["name"], values["fingerprint"] = "@"+string(target), fmt.Sprint(a.n)
		if target != None {
			must(t, a.Accounts.AddSigningKey(t.Context(), a.Admin, "npm", "@"+string(target), account.SigningKey{Fingerprint: fmt.Sprint(a.n)}))
		}
	case "/namespaces/{ecosystem}/{name}/proof":
		values["ecosystem"], values["name"] = "maven", "com."+string(target)
	case "/organisations/{organisation}/namespaces/{ecosystem}/{name}":
		values["name"] = fmt.Sprintf("@given%d", a.n)
		must(t, a.Accounts.ClaimNamespace(t.Context(), a.Admin, "third", "npm", values["name"], account.Private))
		if target == Own || target == Other {
			must(t, a.Accounts.OfferNamespace(t.Context(), a.Admin, "npm", values["name"], string(target)))
		}
	case "/organisations/{organisation}/teams/{team}", "/organisations/{organisation}/teams/{team}/members/{account}",
		"/organisations/{organisation}/teams/{team}/names/{ecosystem}/{name}":
		values["team"] = fmt.Sprintf("team%d", a.n)
		if target != None {
			must(t, a.Accounts.SetMember(t.Context(), a.Admin, string(target), "spare", account.Reader))
			must(t, a.Accounts.CreateTeam(t.Context(), a.Admin, account.Team{Organisation: string(target), Name: values["team"]}))
			must(t, a.Accounts.AddTeamMember(t.Context(), a.Admin, string(target), values["team"], "spare"))
		}
	case "/tokens/{id}":
		values["id"] = a.SpareToken(t, role)
	case "/enrolments/{id}":
		_, made, err := a.Accounts.Enrol(t.Context(), a.Admin, account.Enrolment{Kind: account.AgentMember, Name: fmt.Sprintf("spare%d", a.n)})
		must(t, err)
		values["id"] = made.ID
	case "/challenges/{poll}":
		_, poll, err := a.Accounts.StartChallenge(t.Context(), a.Admin, account.AnyFactor, "test", "192.0.2.1:1")
		must(t, err)
		values["poll"] = poll
	case "/namespaces/{ecosystem}/{name}/mfa":
		values["name"] = "@" + string(target)
	case "/logins/{code}/approval":
		code, _, err := a.Accounts.StartLogin(t.Context(), fmt.Sprintf("192.0.2.%d:1", a.n%250))
		must(t, err)
		values["code"] = code
	case "/recalls/{seq}/receipts":
		values["seq"] = fmt.Sprint(a.recalled(t, target))
	case "/exceptions/{number}", "/exceptions/{number}/approval":
		values["number"] = a.exception(t, target)
	case "/decisions/{id}/explanation":
		values["id"] = a.decision(t, target)
	case "/policies/{revision}":
		values["revision"] = a.policies(t)
	case "/reports/{report}":
		values["report"] = a.reported(t)
	case "/advisories/osv/{advisory}":
		seq := int64(0) // no recall
		if target != None {
			seq = a.recalled(t, target)
		}
		values["advisory"] = osv.ID(recall.Recall{At: time.Now(), Seq: seq}) + ".json"
	case "/recalls/{subject}":
		a.recalled(t, target)
		values["subject"] = string(a.recallable(target))
	case "/holds/{subject}":
		values["subject"] = string(a.hold(t, target))
	case "/organisations/{organisation}/members/{account}":
		if target != None {
			must(t, a.Accounts.SetMember(t.Context(), a.Admin, string(target), "spare", account.Reader))
		}
	}
	return values
}

// recalled puts a recall in force that the owner of the namespace made.
func (a *API) recalled(t *testing.T, target Target) int64 {
	t.Helper()
	by := evidence.Actor{Account: string(Owner)}
	made, err := a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: string(a.recallable(target))}}, Predicate: evidence.Recall{Reason: "test", Actor: by},
		Issuer: by.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	return made[0].Seq
}

// reported makes a report that an administrator can decide, as somebody new: reports are limited.
func (a *API) reported(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("reporter%d", a.n)
	must(t, a.Accounts.CreateUser(t.Context(), a.Admin, name, ""))
	made, err := a.Reports.Make(t.Context(), evidence.Actor{Account: name}, "pkg:npm/public@1.0.0", "test")
	must(t, err)
	return made.ID
}

// exception asks, as somebody else than the roles, for an exception for the target's image, and returns its number.
func (a *API) exception(t *testing.T, target Target) string {
	t.Helper()
	by := evidence.Actor{Account: "spare"}
	made, err := a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: "policy:digest-pinned"}},
		Predicate: evidence.Exception{
			Event: evidence.Requested, Policy: "digest-pinned", Scope: evidence.ExceptionScope{Image: string(a.Digest(target))}, Reason: "test", Ticket: "T-1",
			Expires: time.Now().Add(time.Hour), Actor: by,
		},
		Issuer: by.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	return strconv.FormatInt(made[0].Seq, 10)
}

// decision records a decision about the target's image and returns its id.
func (a *API) decision(t *testing.T, target Target) string {
	t.Helper()
	id := fmt.Sprint("decision-", a.n)
	_, err := a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About("", a.Digest(target))},
		Predicate: evidence.Decision{Gate: "admit", Action: "create", Verdict: "allow", ID: id},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "admission/test"}, Assurance: evidence.Observed,
	})
	must(t, err)
	return id
}

// policies returns the revision of the set that is in force while none was put.
func (a *API) policies(t *testing.T) string {
	t.Helper()
	program, err := policy.Compile(policy.Shipped())
	must(t, err)
	return program.Revision()
}

// queries are the rows without a body, with the query string that each needs.
func (a *API) queries(target Target) map[string]string {
	return map[string]string{
		"GET /healthz": "", "GET /version": "", "GET /whoami": "",
		"GET /trace":             "?q=" + url.QueryEscape("pkg:npm/public@1.0.0"),
		"GET /records/{subject}": "", "GET /records/{subject}/bundle": "",
		"GET /log/checkpoint": "", "GET /log/inclusion": "?index=0", "GET /log/consistency": "?old=0",
		"GET /recalls/preview":        "?subject=" + url.QueryEscape(string(a.recallable(target))),
		"GET /recalls/{seq}/receipts": "",
		"GET /upstreams":              "",
		"GET /reports":                "", "GET /advisories/osv/{advisory}": "", "GET /advisories/osv/all.zip": "",
		"GET /advisories/osv/all.ndjson": "", "GET /advisories/osv/modified_id.csv": "",
		"GET /recalls": "", "DELETE /recalls/{subject}": "?reason=test",
		"GET /hold-settings": "", "GET /namespaces/{ecosystem}/{name}/hold-settings": "", "GET /packages/{ecosystem}/{name}/hold-settings": "",
		"GET /holds": "", "GET /holds/{subject}": "", "DELETE /holds/{subject}": "?reason=test",
		"GET /packages": "?ecosystem=npm", "GET /packages/{ecosystem}/{name}": "", "GET /images/{digest}": "",
		"GET /images/{digest}/record": "", "GET /policies": "", "GET /policies/{revision}": "",
		"GET /exceptions": "", "POST /exceptions/{number}/approval": "", "DELETE /exceptions/{number}": "?reason=test",
		"GET /decisions/{id}/explanation": "",
		"GET /users":                      "", "GET /enrolments": "", "DELETE /enrolments/{id}": "", "GET /organisations": "",
		"GET /organisations/{organisation}/members": "", "GET /organisations/{organisation}/namespaces": "",
		"DELETE /organisations/{organisation}/members/{account}":              "",
		"GET /namespaces/{ecosystem}/{name}":                                  "",
		"GET /namespaces/{ecosystem}/{name}/proof":                            "",
		"GET /namespaces/{ecosystem}/{name}/keys":                             "",
		"DELETE /namespaces/{ecosystem}/{name}/keys/{fingerprint}":            "",
		"PUT /organisations/{organisation}/namespaces/{ecosystem}/{name}":     "",
		"GET /challenges/{poll}":                                              "",
		"GET /mfa":                                                            "",
		"POST /mfa/totp":                                                      "",
		"DELETE /mfa/totp":                                                    "",
		"POST /mfa/recovery-codes":                                            "",
		"GET /organisations/{organisation}/mfa":                               "",
		"GET /tokens":                                                         "",
		"DELETE /tokens/{id}":                                                 "",
		"POST /logins/{code}/approval":                                        "",
		"GET /organisations/{organisation}/teams":                             "",
		"DELETE /organisations/{organisation}/teams/{team}":                   "",
		"GET /sessions":                                                       "",
		"DELETE /sessions":                                                    "",
		"GET /email":                                                          "",
		"PUT /organisations/{organisation}/teams/{team}/members/{account}":    "",
		"DELETE /organisations/{organisation}/teams/{team}/members/{account}": "",
		"DELETE /organisations/{organisation}/teams/{team}/names/{ecosystem}/{name}": "",
		"GET /organisations/{organisation}/publishers":                               "",
		"DELETE /organisations/{organisation}/publishers/{id}":                       "",
		"GET /publishers/{ecosystem}/{name}":                                         "",
		"DELETE /publishers/{ecosystem}/{name}/{id}":                                 "",
		"GET /issuers":             "",
		"DELETE /issuers/{issuer}": "",
	}
}

// bodies are the rows with a body. What they create is called differently in every cell.
func (a *API) bodies(target Target) map[string]string {
	bodies := map[string]string{
		"POST /organisations/{organisation}/teams":                                fmt.Sprintf(`{"name": "new%d"}`, a.n),
		"PUT /organisations/{organisation}/teams/{team}/names/{ecosystem}/{name}": `{"role": "maintainer"}`,
		"POST /recalls":             fmt.Sprintf(`{"subject": %q, "reason": "test"}`, a.recallable(target)),
		"POST /reports":             `{"subject": "pkg:npm/public@1.0.0", "reason": "test"}`,
		"PUT /reports/{report}":     `{"outcome": "unfounded"}`,
		"PUT /policies":             fmt.Sprintf(`{"document": %q}`, fmt.Sprintf(aPolicy, a.n)),
		"POST /exceptions":          fmt.Sprintf(`{"policy": "*", "scope": {"image": %q}, "reason": "test", "ticket": "T-1", "expires": %q}`, a.Digest(target), time.Now().Add(time.Hour).Format(time.RFC3339)),
		"POST /approvals":           fmt.Sprintf(`{"subject": %q, "reason": "test"}`, a.purl(target)),
		"PUT /hold-settings":        `{"approvals": 1}`,
		"POST /cooldown-exemptions": fmt.Sprintf(`{"component": "pkg:npm/left-pad", "reason": "test", "expires": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339)),
		"PUT /namespaces/{ecosystem}/{name}/hold-settings": `{"rules": {"size-jump": "audit"}}`,
		"PUT /packages/{ecosystem}/{name}/hold-settings":   `{"stageLife": "24h"}`,
		"PUT /packages/{ecosystem}/{name}/tokens-allowed":  `{"allowed": true}`,
		"POST /users":         fmt.Sprintf(`{"name": "user%d"}`, a.n),
		"POST /enrolments":    fmt.Sprintf(`{"kind": "agent", "name": "node%d"}`, a.n),
		"POST /organisations": fmt.Sprintf(`{"name": "organisation%d"}`, a.n),
		"PUT /organisations/{organisation}/members/{account}": `{"role": "reader"}`,
		"POST /organisations/{organisation}/namespaces":       fmt.Sprintf(`{"ecosystem": "npm", "pattern": "@claim%d"}`, a.n),
		"PUT /namespaces/{ecosystem}/{name}":                  `{"visibility": "private"}`,
		"POST /namespaces/{ecosystem}/{name}/proof":           `{}`,
		"POST /namespaces/{ecosystem}/{name}/keys":            signingKeyBody(),
		"POST /namespaces/{ecosystem}/{name}/offer":           `{"organisation": "third"}`,
		"POST /tokens":                           `{"permission": "read"}`,
		"PUT /email":                             fmt.Sprintf(`{"address": "someone%d@example.org"}`, a.n),
		"POST /email/verification":               `{"code": "000000"}`,
		"POST /mfa/totp/confirmation":            `{"code": "000000"}`,
		"PUT /organisations/{organisation}/mfa":  `{"action": "publish", "level": "none"}`,
		"PUT /namespaces/{ecosystem}/{name}/mfa": `{"action": "publish", "level": "none"}`,
		"PUT /packages/{ecosystem}/{name}/mfa":   `{"action": "publish", "level": "none"}`,
	}
	maps.Copy(bodies, a.trustBodies(target))
	return bodies
}

// mailed gives a role an address that waits, and returns the code that goes there; empty when a server has
// posted it already.
func (a *API) mailed(t *testing.T, role Role) string {
	t.Helper()
	address := fmt.Sprintf("waits%d@example.org", a.n)
	must(t, a.Accounts.SetEmail(t.Context(), a.Actor(t, role), address))
	waiting, err := a.Accounts.Notices(t.Context(), 1000)
	must(t, err)
	var data struct{ Code string }
	for _, n := range waiting {
		if n.Address == address {
			must(t, json.Unmarshal(n.Data, &data))
		}
	}
	return data.Code
}

// factor prepares the rows about authenticator apps: it returns the code that confirms one that was
// begun, or the proof of one that is in force.
func (a *API) factor(t *testing.T, row Row, role Role) (code, proof string) {
	t.Helper()
	route := row.Method + " " + row.Pattern
	confirms := route == "POST /mfa/totp/confirmation"
	if role == Anonymous || !confirms && route != "DELETE /mfa/totp" && route != "POST /mfa/recovery-codes" {
		return "", ""
	}
	actor := a.Actor(t, role)
	begun, err := a.Accounts.BeginTOTP(t.Context(), actor)
	must(t, err)
	if code, err = totp.GenerateCode(begun.Secret, time.Now()); err != nil {
		t.Fatal(err)
	}
	a.enrolled = role
	if confirms {
		return code, ""
	}
	recovery, err := a.Accounts.ConfirmTOTP(t.Context(), actor, code, "192.0.2.1:1")
	must(t, err)
	return "", recovery[0]
}

func (a *API) unenrol(t *testing.T) {
	t.Helper()
	if a.enrolled == "" {
		return
	}
	actor := a.Actor(t, a.enrolled)
	actor.Factor = evidence.TOTP
	if err := a.Accounts.RemoveTOTP(t.Context(), actor); err != nil && fault.As(err).Code != "totp-unknown" {
		t.Fatal(err)
	}
	a.enrolled = ""
}
