package oidc_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

// sample is a provider as the tests use it.
type sample struct {
	path   string // of its issuer
	pins   map[string]string
	claims func(i *oidctest.Issuer) map[string]any
	// wrong changes one claim each, so that the token is refused with that code; nil takes it away.
	wrong map[string]map[string]any
}

func samples() map[string]sample {
	mismatch := "publisher-mismatch"
	return map[string]sample{
		"github": {
			pins:   map[string]string{"repository": "Acme/UI", "workflow": "release.yml", "environment": "npm"},
			claims: func(*oidctest.Issuer) map[string]any { return with(oidctest.GitHub(), "environment", "NPM") },
			wrong: map[string]map[string]any{
				"publisher-unknown repository": {"repository": "acme/other"},
				mismatch + " owner reborn":     {"repository_owner_id": "66"},
				mismatch + " repository moved": {"repository_id": "75"},
				mismatch + " other workflow": {"workflow_ref": "acme/ui/.github/workflows/ci.yml@refs/heads/main",
					"job_workflow_ref": "acme/ui/.github/workflows/ci.yml@refs/heads/main"},
				mismatch + " called workflow": {"job_workflow_ref": "mallory/x/.github/workflows/release.yml@refs/heads/main"},
				mismatch + " other branch's workflow": {"workflow_ref": "acme/ui/.github/workflows/release.yml@refs/heads/evil",
					"job_workflow_ref": "acme/ui/.github/workflows/release.yml@refs/heads/evil"},
				mismatch + " suffix":         {"workflow_ref": "acme/ui/.github/workflows/release.yml.yml@refs/heads/main"},
				mismatch + " environment":    {"environment": "test"},
				mismatch + " no environment": {"environment": nil},
				mismatch + " event":          {"event_name": "pull_request_target"},
				mismatch + " run by a run":   {"event_name": "workflow_run"},
				mismatch + " no owner":       {"repository_owner_id": nil},
				mismatch + " no event":       {"event_name": nil},
			},
		},
		"gitlab": {
			pins:   map[string]string{"project_path": "Acme/ui", "ci_config": ".gitlab-ci.yml"},
			claims: func(i *oidctest.Issuer) map[string]any { return oidctest.GitLab(i.URL) },
			wrong: map[string]map[string]any{
				"publisher-unknown project": {"project_path": "acme/other"},
				mismatch + " group reborn":  {"namespace_id": "73"},
				mismatch + " project moved": {"project_id": "21"},
				mismatch + " other host":    {"ci_config_ref_uri": "gitlab.com/acme/ui//.gitlab-ci.yml@refs/heads/main"},
				mismatch + " other file":    {"ci_config_ref_uri": "{host}/acme/ui//evil.yml@refs/heads/main"},
				mismatch + " other branch":  {"ci_config_ref_uri": "{host}/acme/ui//.gitlab-ci.yml@refs/heads/evil"},
				mismatch + " subject":       {"sub": "project_path:acme/uix:ref_type:branch:ref:main"},
			},
		},
		"circleci": {
			path: "/org/" + oidctest.CircleOrganisation,
			pins: map[string]string{"org_id": oidctest.CircleOrganisation, "project_id": strings.ToUpper(oidctest.CircleProject),
				"pipeline_definition_id": oidctest.CirclePipeline, "vcs_origin": "github.com/acme/ui", "context_ids": oidctest.CircleContext},
			claims: func(*oidctest.Issuer) map[string]any { return oidctest.CircleCI() },
			wrong: map[string]map[string]any{
				"publisher-unknown organisation": {"oidc.circleci.com/org-id": oidctest.CircleProject},
				mismatch + " project":            {"oidc.circleci.com/project-id": oidctest.CirclePipeline},
				mismatch + " pipeline":           {"oidc.circleci.com/pipeline-definition-id": oidctest.CircleProject},
				mismatch + " origin":             {"oidc.circleci.com/vcs-origin": "github.com/mallory/ui"},
				mismatch + " contexts":           {"oidc.circleci.com/context-ids": []string{}},
				mismatch + " restarted with ssh": {"oidc.circleci.com/ssh-rerun": true},
			},
		},
		"kubernetes": {
			pins:   map[string]string{"namespace": "build", "service_account": "release"},
			claims: func(*oidctest.Issuer) map[string]any { return oidctest.Kubernetes(audience) },
			wrong: map[string]map[string]any{
				"publisher-mismatch subject":      {"sub": "system:serviceaccount:build:other"},
				"identity-token-invalid audience": {"aud": []string{audience, "other"}},
				"publisher-mismatch made anew": {"kubernetes.io": map[string]any{"namespace": "build",
					"serviceaccount": map[string]any{"name": "release", "uid": "00000000-0000-0000-0000-000000000000"}}},
				"publisher-unknown namespace": {"kubernetes.io": map[string]any{"namespace": "other",
					"serviceaccount": map[string]any{"name": "release", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"}}},
			},
		},
		"generic": {
			pins:   map[string]string{"owner": "acme", "project": "ui", "pipeline": "release"},
			claims: func(*oidctest.Issuer) map[string]any { return oidctest.Generic() },
			wrong: map[string]map[string]any{
				"publisher-unknown owner":    {"owner": "mallory"},
				"publisher-unknown pipeline": {"pipeline": nil},
			},
		},
	}
}

// with returns claims with one changed.
func with(claims map[string]any, name string, v any) map[string]any {
	claims = maps.Clone(claims)
	claims[name] = v
	return claims
}

func TestEachProvidersTokensAreTakenAndEachClaimCounts(t *testing.T) {
	t.Parallel()
	for provider, s := range samples() {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			i := w.register(oidctest.At(t, s.path), provider)
			w.trust(oidc.Publisher{Ecosystem: purl.NPM, Name: "@acme/ui", Provider: provider, Issuer: i.URL, Claims: s.pins})
			_, err := w.exchange(i.Token(audience, s.claims(i)))
			must(t, err)
			for what, changed := range s.wrong {
				code, _, _ := strings.Cut(what, " ")
				claims := s.claims(i)
				for name, v := range changed {
					if text, ok := v.(string); ok {
						v = strings.ReplaceAll(text, "{host}", strings.TrimPrefix(i.URL, "http://"))
					}
					claims[name] = v
				}
				t.Log(what)
				_, err := w.exchange(i.Token(audience, claims))
				wantCode(t, err, code)
			}
			_, err = w.exchange(i.Token(audience, s.claims(i)))
			must(t, err)
		})
	}
}

func TestAReusableWorkflowIsTrustedWhenThePublisherNamesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := github(i.URL)
	p.Claims["called_workflow"] = "shared/ci/.github/workflows/publish.yml"
	w.trust(p)
	claims := with(oidctest.GitHub(), "job_workflow_ref", "shared/ci/.github/workflows/publish.yml@refs/tags/v3")
	_, err := w.exchange(i.Token(audience, claims))
	must(t, err)
	_, err = w.exchange(i.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-mismatch")
}

func TestAPolicyNarrowsWhichRunsAreTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy oidc.Policy
		claim  string
		good   any
		bad    any
	}{
		"event":     {oidc.Policy{Events: []string{"release", "workflow_run"}}, "event_name", "workflow_run", "push"},
		"tag":       {oidc.Policy{Refs: []string{"refs/tags/v*"}}, "ref", "refs/tags/v1.2.3", "refs/heads/main"},
		"branch":    {oidc.Policy{Refs: []string{"refs/heads/main"}}, "ref", "refs/heads/main", "refs/heads/main2"},
		"depth":     {oidc.Policy{Refs: []string{"refs/heads/*"}}, "ref", "refs/heads/x", "refs/heads/x/y"},
		"protected": {oidc.Policy{Protected: true}, "ref_protected", "true", "false"},
		"runner":    {oidc.Policy{Runner: "github-hosted"}, "runner_environment", "github-hosted", "self-hosted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			i := w.issuer("github")
			p := github(i.URL)
			p.Policy = c.policy
			w.trust(p)
			run := func(v any) map[string]any {
				claims := with(oidctest.GitHub(), c.claim, v)
				ref, _ := claims["ref"].(string)
				for _, at := range []string{"workflow_ref", "job_workflow_ref"} {
					claims[at] = "acme/ui/.github/workflows/release.yml@" + ref
				}
				return claims
			}
			_, err := w.exchange(i.Token(audience, run(c.good)))
			must(t, err)
			_, err = w.exchange(i.Token(audience, run(c.bad)))
			wantCode(t, err, "publisher-mismatch")
			_, err = w.exchange(i.Token(audience, run(nil)))
			wantCode(t, err, "publisher-mismatch")
		})
	}
}

func TestNumbersAreLearntFromTheFirstTokenAndHoldFromThenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	_, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	found, err := w.List(t.Context(), w.olga, purl.NPM, "@acme/ui")
	must(t, err)
	want := map[string]string{"repository_id": "74", "repository_owner_id": "65"}
	if !maps.Equal(found[0].Learnt, want) {
		t.Errorf("learnt %v, want %v", found[0].Learnt, want)
	}
	_, err = w.exchange(i.Token(audience, with(oidctest.GitHub(), "repository_owner_id", "9")))
	wantCode(t, err, "publisher-mismatch")

	// What the owner pins is not learnt.
	p := github(i.URL)
	p.Name, p.Claims["repository_id"] = "@acme/two", "75"
	w.trust(p)
	_, err = w.exchangeFor("@acme/two", i.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-mismatch")
}

func TestAStrangerDoesNotLearnWhatANameTrusts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	strange := with(oidctest.GitHub(), "repository", "mallory/x")
	_, known := w.exchange(i.Token(audience, strange))
	_, unknown := w.exchangeFor("@acme/none", i.Token(audience, strange))
	if a, b := known.Error(), strings.ReplaceAll(unknown.Error(), "@acme/none", "@acme/ui"); a != b {
		t.Errorf("a stranger is told %q of a name that trusts somebody and %q of one that does not", a, b)
	}
}

func TestOfSeveralPublishersTheOneThatDemandsMostIsMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	stage := github(i.URL)
	stage.Permission = evidence.Stage
	w.trust(stage)
	narrow := github(i.URL)
	narrow.Claims["environment"] = "npm"
	w.trust(narrow)
	for environment, want := range map[any]evidence.Permission{"npm": evidence.Publish, nil: evidence.Stage} {
		m, err := w.exchange(i.Token(audience, with(oidctest.GitHub(), "environment", environment)))
		must(t, err)
		if m.Permission != want {
			t.Errorf("environment %v may %s, want %s", environment, m.Permission, want)
		}
	}
}

func TestAPublisherThatCannotBeRightIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("generic")
	for what, p := range map[string]oidc.Publisher{
		"no workflow":             {Provider: "github", Claims: map[string]string{"repository": "acme/ui"}},
		"a path as workflow":      {Provider: "github", Claims: map[string]string{"repository": "acme/ui", "workflow": "../x.yml"}},
		"an unknown claim":        {Provider: "github", Claims: map[string]string{"repository": "acme/ui", "workflow": "r.yml", "actor": "x"}},
		"two claims":              {Provider: "generic", Issuer: i.URL, Claims: map[string]string{"owner": "acme", "project": "ui"}},
		"the audience as a claim": {Provider: "generic", Issuer: i.URL, Claims: map[string]string{"a": "b", "c": "d", "aud": "x"}},
		"no issuer":               {Provider: "kubernetes", Claims: map[string]string{"namespace": "a", "service_account": "b"}},
		"an issuer of another":    {Provider: "kubernetes", Issuer: i.URL, Claims: map[string]string{"namespace": "a", "service_account": "b"}},
		"a policy without claim":  {Provider: "google", Claims: map[string]string{"email": "a@b.test"}, Policy: oidc.Policy{Refs: []string{"refs/heads/main"}}},
		"a bad pattern":           {Provider: "github", Claims: map[string]string{"repository": "acme/ui", "workflow": "r.yml"}, Policy: oidc.Policy{Refs: []string{"["}}},
		"the permission to own":   {Provider: "github", Claims: map[string]string{"repository": "acme/ui", "workflow": "r.yml"}, Permission: evidence.Own},
	} {
		p.Ecosystem, p.Name = purl.NPM, "@acme/ui"
		t.Log(what)
		_, err := w.Add(t.Context(), w.olga, p)
		wantCode(t, err, "publisher-invalid")
	}
	p := github("https://elsewhere.test")
	_, err := w.Add(t.Context(), w.olga, p)
	wantCode(t, err, "issuer-unknown")
}
