package oidc_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestThePublicServicesOfTheProvidersAreKnownWithoutBeingRegistered(t *testing.T) {
	t.Parallel()
	circle := "https://oidc.circleci.com/org/" + oidctest.CircleOrganisation
	for issuer, c := range map[string]struct {
		provider string
		pins     map[string]string
		claims   map[string]any
		wrong    map[string]any
	}{
		"https://token.actions.githubusercontent.com": {"github", map[string]string{"repository": "acme/ui", "workflow": "release.yml"},
			oidctest.GitHub(), map[string]any{"repository_id": "75"}},
		"https://gitlab.com": {"gitlab", map[string]string{"project_path": "acme/ui", "ci_config": ".gitlab-ci.yml"},
			oidctest.GitLab("https://gitlab.com"), map[string]any{"namespace_id": "73"}},
		"https://agent.buildkite.com": {"buildkite", map[string]string{"organization_slug": "acme", "pipeline_slug": "ui", "step_key": "publish"},
			oidctest.Buildkite(), map[string]any{"step_key": "test"}},
		"https://accounts.google.com": {"google", map[string]string{"email": "release@acme.iam.gserviceaccount.com"},
			oidctest.Google(), map[string]any{"email_verified": false}},
		circle: {"circleci", map[string]string{"org_id": oidctest.CircleOrganisation, "project_id": oidctest.CircleProject,
			"pipeline_definition_id": oidctest.CirclePipeline, "vcs_origin": "github.com/acme/ui"},
			oidctest.CircleCI(), map[string]any{"oidc.circleci.com/ssh-rerun": true}},
	} {
		t.Run(c.provider, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			i := oidctest.New(t)
			i.URL = issuer
			w.ServeKeys(map[string]string{issuer: i.KeySet()})
			p := w.trust(oidc.Publisher{Ecosystem: purl.NPM, Name: "@acme/ui", Provider: c.provider, Claims: c.pins})
			if p.Issuer != issuer {
				t.Errorf("a publisher that names no issuer is of %s, want %s", p.Issuer, issuer)
			}
			_, err := w.exchange(i.Token(audience, c.claims))
			must(t, err)
			for name, v := range c.wrong {
				_, err = w.exchange(i.Token(audience, with(c.claims, name, v)))
				wantCode(t, err, "publisher-mismatch")
			}
		})
	}
}

func TestABranchOrTagOfBuildkiteIsAReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := oidctest.New(t)
	i.URL = "https://agent.buildkite.com"
	w.ServeKeys(map[string]string{i.URL: i.KeySet()})
	w.trust(oidc.Publisher{Ecosystem: purl.NPM, Name: "@acme/ui", Provider: "buildkite", Policy: oidc.Policy{Refs: []string{"refs/tags/v*"}},
		Claims: map[string]string{"organization_slug": "acme", "pipeline_slug": "ui"}})
	_, err := w.exchange(i.Token(audience, with(oidctest.Buildkite(), "build_tag", "v1")))
	must(t, err)
	_, err = w.exchange(i.Token(audience, with(oidctest.Buildkite(), "build_branch", "v1")))
	wantCode(t, err, "publisher-mismatch")
}

func TestAnIssuerThatLooksLikeAPublicServiceIsNotRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, i := range []oidc.Issuer{
		{URL: "https://token.actions.githubusercontent.com", Provider: "github"},
		{URL: "https://token.actions.githubusercontent.com/", Provider: "github"},
		{URL: "https://token.actions.githubusercontent.com/acme", Provider: "generic"},
		{URL: "https://gitlab.com/", Provider: "gitlab"},
		{URL: "https://oidc.circleci.com/org/x", Provider: "circleci"},
		{URL: "https://accounts.google.com/x", Provider: "google"},
		{URL: "http://ghes.test/token", Provider: "github"},
		{URL: "https://GHES.test/token", Provider: "github"},
		{URL: "https://ghes.test/token?x=y", Provider: "github"},
		{URL: "https://user@ghes.test/token", Provider: "github"},
		{URL: "https://ghes.test", Provider: "github", CA: "no PEM"},
		{URL: "https://ghes.test", Provider: "github", Keys: `{"keys": []}`},
		{URL: "", Provider: "github"},
	} {
		_, err := w.AddIssuer(t.Context(), w.admin, i)
		wantCode(t, err, "issuer-invalid")
	}
	_, err := w.AddIssuer(t.Context(), w.olga, oidc.Issuer{URL: "https://ghes.test", Provider: "github"})
	wantCode(t, err, "admin-required")
	// A company's issuer below the public one is its own.
	_, err = w.AddIssuer(t.Context(), w.admin, oidc.Issuer{URL: "https://token.actions.githubusercontent.com/acme", Provider: "github"})
	must(t, err)
}

func TestAnIssuerThatCannotBeReachedWorksWithTheKeysThatItWasRegisteredWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := oidctest.New(t)
	keys := i.KeySet()
	i.URL = "https://kubernetes.default.svc.cluster.local"
	_, err := w.AddIssuer(t.Context(), w.admin, oidc.Issuer{URL: i.URL, Provider: "kubernetes", Keys: keys, Default: true})
	must(t, err)
	w.trust(oidc.Publisher{Ecosystem: purl.NPM, Name: "@acme/ui", Provider: "kubernetes",
		Claims: map[string]string{"namespace": "build", "service_account": "release"}})
	_, err = w.exchange(i.Token(audience, oidctest.Kubernetes(audience)))
	must(t, err)
	must(t, w.RemoveIssuer(t.Context(), w.admin, i.URL))
	_, err = w.exchange(i.Token(audience, oidctest.Kubernetes(audience)))
	wantCode(t, err, "issuer-unknown")
	found, err := w.List(t.Context(), w.olga, purl.NPM, "@acme/ui")
	must(t, err)
	if len(found[0].Flags) != 1 || found[0].Flags[0] != "issuer-unregistered" {
		t.Errorf("the publisher is flagged %v", found[0].Flags)
	}
}
