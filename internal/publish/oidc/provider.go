package oidc

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
)

// provider is all that this package knows about one maker of tokens: which issuers speak like it, what a
// publisher of it is pinned to, and which claims say what a policy asks about.
type provider struct {
	name string
	// issuer is the public service's; empty where every issuer has to be registered.
	issuer string
	// family matches further issuers of the public service, which has one for each of its customers.
	family *regexp.Regexp
	// registered: a site administrator may register issuers of this kind.
	registered bool

	// required are the claims that a token must have, beside those that its publisher is compared with.
	required []string
	// equals are claims that must have a value, whatever the publisher says.
	equals map[string]string
	// fields are what a publisher is pinned to. The first is whose pipeline it is: until that matches, a
	// refusal says nothing about the rest.
	fields []field
	// open: a publisher may pin any other claim, and pins at least minPinned of them.
	open bool

	// event, protected, environment and runner name the claims that say it; ref reads where the run's
	// source came from. Empty or nil: this provider does not tell.
	event, protected, environment, runner string
	ref                                   func(Claims) string
	// refused are the events that no publisher accepts unless it names them: a stranger can cause them,
	// and they run with the rights of the repository.
	refused []string
	// told are the claims that the record keeps beside the fields.
	told []string

	// life is how long a token may be valid at most. The identifiers of used tokens are kept as long.
	life time.Duration
	// audienceList: this provider always sends the audience as a list, which must have one entry.
	audienceList bool
}

// field is one thing that a publisher is pinned to.
type field struct {
	name string
	// claim is what it is compared with, unless match is set.
	claim string
	// needed: a publisher must say it.
	needed bool
	// learnt: what a publisher does not say is taken from the first token, and holds from then on. Names
	// are given away and registered anew; numbers are not.
	learnt bool
	// fold: upper and lower case are the same, as they are to the provider.
	fold bool
	form *regexp.Regexp // of the value; nil takes any single line
	// match compares in place of equality. fields are the publisher's.
	match func(want string, c Claims, p *Publisher) bool
}

var (
	slugForm     = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	repoForm     = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`)
	projectForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)
	workflowForm = regexp.MustCompile(`^[A-Za-z0-9._-]+\.ya?ml$`)
	calledForm   = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+/\.github/workflows/[A-Za-z0-9._-]+\.ya?ml$`)
	pathForm     = regexp.MustCompile(`^[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*$`)
	numberForm   = regexp.MustCompile(`^[0-9]{1,20}$`)
	uuidForm     = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	uuidsForm    = regexp.MustCompile(`^[0-9a-fA-F-]{36}(?:,[0-9a-fA-F-]{36})*$`)
	originForm   = regexp.MustCompile(`^[A-Za-z0-9.-]+(?:/[A-Za-z0-9._-]+){2,}$`)
	mailForm     = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)
)

// providers is one row each. Sources: GitHub, "OpenID Connect reference"; GitLab, "ID token
// authentication"; Buildkite, "OIDC"; CircleCI, "OpenID Connect tokens"; Google, "OpenID Connect"; Kubernetes,
// "Managing Service Accounts", "ServiceAccount token claims".
var providers = []*provider{
	{
		name: "github", issuer: "https://token.actions.githubusercontent.com", registered: true,
		required: []string{"repository_id", "repository_owner", "repository_owner_id", "ref", "sha", "event_name"},
		fields: []field{
			{name: "repository", claim: "repository", needed: true, fold: true, form: repoForm},
			{name: "repository_id", claim: "repository_id", learnt: true, form: numberForm},
			{name: "repository_owner_id", claim: "repository_owner_id", learnt: true, form: numberForm},
			{name: "workflow", needed: true, form: workflowForm, match: githubWorkflow},
			{name: "called_workflow", form: calledForm, match: githubCalled},
			{name: "environment", claim: "environment", fold: true},
		},
		event: "event_name", protected: "ref_protected", environment: "environment", runner: "runner_environment", ref: claimRef("ref"),
		refused: []string{"pull_request_target", "workflow_run"},
		told: []string{"sub", "workflow_ref", "job_workflow_ref", "ref", "sha", "event_name", "run_id", "run_attempt", "runner_environment",
			"actor", "repository_visibility"},
		life: time.Hour,
	},
	{
		name: "gitlab", issuer: "https://gitlab.com", registered: true,
		required: []string{"sub", "ref_path", "sha", "namespace_id", "project_id"},
		fields: []field{
			{name: "project_path", claim: "project_path", needed: true, fold: true, form: projectForm},
			{name: "project_id", claim: "project_id", learnt: true, form: numberForm},
			{name: "namespace_id", claim: "namespace_id", learnt: true, form: numberForm},
			{name: "ci_config", needed: true, form: pathForm, match: gitlabConfig},
			{name: "environment", claim: "environment", fold: true},
		},
		event: "pipeline_source", protected: "ref_protected", environment: "environment", runner: "runner_environment", ref: claimRef("ref_path"),
		told: []string{"sub", "ci_config_ref_uri", "ref_path", "sha", "pipeline_source", "pipeline_id", "job_id", "runner_environment", "user_login"},
		life: 24 * time.Hour,
	},
	{
		name: "buildkite", issuer: "https://agent.buildkite.com",
		required: []string{"sub", "build_number", "build_commit", "job_id"},
		fields: []field{
			{name: "organization_slug", claim: "organization_slug", needed: true, form: slugForm},
			{name: "pipeline_slug", claim: "pipeline_slug", needed: true, form: slugForm},
			{name: "organization_id", claim: "organization_id", learnt: true, form: uuidForm},
			{name: "pipeline_id", claim: "pipeline_id", learnt: true, form: uuidForm},
			{name: "step_key", claim: "step_key", form: slugForm},
		},
		event: "build_source", runner: "runner_environment", ref: buildkiteRef,
		told: []string{"sub", "build_number", "build_branch", "build_tag", "build_commit", "build_source", "job_id"},
		life: 2 * time.Hour,
	},
	{
		name: "circleci", registered: true, family: regexp.MustCompile(`^https://oidc\.circleci\.com/org/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
		required: []string{"sub"},
		// A job that somebody restarted with SSH runs what they type.
		equals: map[string]string{"oidc.circleci.com/ssh-rerun": "false"},
		fields: []field{
			{name: "org_id", needed: true, form: uuidForm, match: circleOrganisation},
			{name: "project_id", claim: "oidc.circleci.com/project-id", needed: true, fold: true, form: uuidForm},
			{name: "pipeline_definition_id", claim: "oidc.circleci.com/pipeline-definition-id", needed: true, fold: true, form: uuidForm},
			{name: "vcs_origin", claim: "oidc.circleci.com/vcs-origin", needed: true, fold: true, form: originForm},
			{name: "context_ids", form: uuidsForm, match: circleContexts},
		},
		ref:  claimRef("oidc.circleci.com/vcs-ref"),
		told: []string{"sub", "oidc.circleci.com/vcs-ref", "oidc.circleci.com/vcs-origin", "oidc.circleci.com/pipeline-id", "oidc.circleci.com/job-id"},
		life: 2 * time.Hour,
	},
	{
		name: "google", issuer: "https://accounts.google.com",
		equals: map[string]string{"email_verified": "true"},
		fields: []field{
			{name: "email", claim: "email", needed: true, fold: true, form: mailForm},
			{name: "subject", claim: "sub", learnt: true, form: numberForm},
		},
		told: []string{"sub"},
		life: 2 * time.Hour,
	},
	{
		name: "kubernetes", registered: true, audienceList: true,
		required: []string{"sub"},
		fields: []field{
			{name: "namespace", claim: "kubernetes.io/namespace", needed: true, form: slugForm},
			{name: "service_account", needed: true, form: slugForm, match: kubernetesAccount},
			{name: "service_account_uid", claim: "kubernetes.io/serviceaccount/uid", learnt: true, form: slugForm},
		},
		told: []string{"sub", "kubernetes.io/pod/name", "kubernetes.io/pod/uid", "kubernetes.io/node/name"},
		life: 48 * time.Hour,
	},
	{name: "generic", registered: true, open: true, told: []string{"sub"}, life: 2 * time.Hour},
}

// minPinned is how many claims a publisher of an open provider pins: whose, which project, and which of its
// pipelines. Fewer would be somebody else's, too.
const minPinned = 3

// unpinnable are claims that say nothing about whose the token is, or change with every one.
var unpinnable = []string{"iss", "aud", "exp", "iat", "nbf", "jti"}

func providerNamed(name string) (*provider, error) {
	i := slices.IndexFunc(providers, func(p *provider) bool { return p.name == name })
	if i < 0 {
		return nil, fault.New(fault.Invalid, "provider-unknown",
			"%q is not a provider; use github, gitlab, buildkite, circleci, google, kubernetes or generic", clip(name))
	}
	return providers[i], nil
}

// builtin returns the provider whose public service an issuer is; nil for none.
func builtin(issuer string) *provider {
	for _, p := range providers {
		if p.issuer == issuer && issuer != "" || p.family != nil && p.family.MatchString(issuer) {
			return p
		}
	}
	return nil
}

func (p *provider) field(name string) *field {
	i := slices.IndexFunc(p.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &p.fields[i]
}

// claimRef is for providers that tell the whole reference: "refs/heads/main".
func claimRef(name string) func(Claims) string {
	return func(c Claims) string { return c.Text(name) }
}

func buildkiteRef(c Claims) string {
	if tag := c.Text("build_tag"); tag != "" {
		return "refs/tags/" + tag
	}
	if branch := c.Text("build_branch"); branch != "" {
		return "refs/heads/" + branch
	}
	return ""
}

// githubWorkflow compares the workflow that was started. What its jobs call is another file, perhaps of
// another repository; unless the publisher names that one, too, it must be the same.
func githubWorkflow(want string, c Claims, p *Publisher) bool {
	started := c.Text("workflow_ref")
	if started == "" {
		started = c.Text("job_workflow_ref") // servers before 3.7 do not tell
	}
	if !githubFile(started, c.Text("repository")+"/.github/workflows/"+want, c.Text("repository"), c) {
		return false
	}
	return p.Claims["called_workflow"] != "" || c.Text("job_workflow_ref") == started
}

// githubFile compares "owner/repo/.github/workflows/file@ref". The file is of the commit that the token is
// for: not of any other branch.
func githubFile(got, want, repository string, c Claims) bool {
	file, at, ok := strings.Cut(got, "@")
	if !ok || !foldPrefix(file, want, len(repository)) {
		return false
	}
	return at != "" && (at == c.Text("ref") || at == c.Text("sha"))
}

// foldPrefix compares two paths, of which the first n bytes may differ in case.
func foldPrefix(got, want string, n int) bool {
	return len(got) == len(want) && n <= len(got) && strings.EqualFold(got[:n], want[:n]) && got[n:] == want[n:]
}

// githubCalled compares a reusable workflow, whatever commit of it is called: that is pinned by who calls it.
func githubCalled(want string, c Claims, _ *Publisher) bool {
	file, _, ok := strings.Cut(c.Text("job_workflow_ref"), "@")
	repository := path.Dir(path.Dir(path.Dir(want)))
	return ok && foldPrefix(file, want, len(repository))
}

// gitlabConfig compares "host/group/project//.gitlab-ci.yml@refs/heads/main".
func gitlabConfig(want string, c Claims, p *Publisher) bool {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return false
	}
	file, at, ok := strings.Cut(c.Text("ci_config_ref_uri"), "@")
	project := u.Host + "/" + p.Claims["project_path"]
	if !ok || !foldPrefix(file, project+"//"+want, len(project)) {
		return false
	}
	subject := "project_path:" + p.Claims["project_path"] + ":"
	sub := c.Text("sub")
	if len(sub) < len(subject) || !strings.EqualFold(sub[:len(subject)], subject) {
		return false
	}
	return at != "" && (at == c.Text("ref_path") || at == c.Text("sha"))
}

// circleOrganisation: each organisation has an issuer of its own, and the claim repeats it.
func circleOrganisation(want string, c Claims, p *Publisher) bool {
	claim := c.Text("oidc.circleci.com/org-id")
	return strings.EqualFold(path.Base(p.Issuer), want) && (claim == "" || strings.EqualFold(claim, want))
}

// circleContexts: the job has all of the contexts that are named.
func circleContexts(want string, c Claims, _ *Publisher) bool {
	has := c.List("oidc.circleci.com/context-ids")
	for one := range strings.SplitSeq(want, ",") {
		if !slices.ContainsFunc(has, func(id string) bool { return strings.EqualFold(id, one) }) {
			return false
		}
	}
	return true
}

// kubernetesAccount: the subject repeats namespace and name, and must agree.
func kubernetesAccount(want string, c Claims, p *Publisher) bool {
	return c.Text("kubernetes.io/serviceaccount/name") == want && c.Text("sub") == "system:serviceaccount:"+p.Claims["namespace"]+":"+want
}
