package policy

import "testing"

func TestAPrefixEndsWhereASegmentATagOrADigestDoes(t *testing.T) {
	t.Parallel()
	image := Image{Reference: "reg.example:5000/acme/shop:1.2", Registry: "reg.example:5000", Repository: "acme/shop", Tag: "1.2", Digest: "sha256:aa"}
	hub := Image{Reference: "shop:1", Registry: "docker.io", Repository: "library/shop", Tag: "1"}
	for _, c := range []struct {
		image  Image
		prefix string
		want   bool
	}{
		{image, "reg.example:5000", true},
		{image, "reg.example:5000/", true},
		{image, "reg.example:5000/acme", true},
		{image, "reg.example:5000/acme/", true},
		{image, "reg.example:5000/acme/shop", true},
		{image, "reg.example:5000/acme/shop:1.2", true},
		{image, "reg.example:5000/acme/shop@sha256:aa", true},
		{image, "sha256:aa", true},
		{image, "sha256:a", false},
		{image, "reg.example:5000/ac", false},
		{image, "reg.example:5000/acme/sh", false},
		{image, "reg.example:5000/acme/shop:1", false},
		{image, "reg.example:500", false},
		{image, "reg.example", false}, // another registry: the port belongs to the name
		{image, "acme/shop", false},   // not of any registry
		{image, "", false},
		{Image{Reference: "Reg.Example/acme/shop", Registry: "Reg.Example", Repository: "acme/shop"}, "reg.example/acme", true},
		{Image{Reference: "reg.example/acme/shop", Registry: "reg.example", Repository: "acme/shop"}, "REG.example", true},
		{Image{Reference: "reg.example/acme/shop:V1", Registry: "reg.example", Repository: "acme/shop", Tag: "V1"}, "reg.example/acme/shop:v1", false},
		{hub, "shop", true},
		{hub, "shop:1", true},
		{hub, "docker.io/library", true},
		{hub, "docker.io/library/shop:1", true},
		{hub, "docker.io/lib", false},
		{Image{Reference: "reg.example/acme-evil/shop:1", Registry: "reg.example", Repository: "acme-evil/shop", Tag: "1"}, "reg.example/acme", false},
		{Image{}, "sha256:aa", false},
		{Image{}, "", false},
	} {
		if got := c.image.within(c.prefix); got != c.want {
			t.Errorf("%s within %q: %v", c.image.Reference, c.prefix, got)
		}
	}
}

func TestAStarStandsForAnyRunOfCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"web", "web", true}, {"web", "webs", false}, {"", "", true}, {"*", "", true}, {"*", "anything", true},
		{"team-*", "team-a", true}, {"team-*", "team-", true}, {"team-*", "xteam-a", false},
		{"*-prod", "eu-prod", true}, {"*-prod", "eu-prod-2", false}, {"a*b*c", "abc", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "acb", false},
		{"a*a", "a", false}, {"a**a", "aa", true}, {"*a*a*", "a", false}, {"*ab*ab", "ab", false}, {"*ab*ab", "abab", true},
		{"system:serviceaccount:ci:*", "system:serviceaccount:ci:deployer", true},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("%q ~ %q: %v", c.pattern, c.s, got)
		}
	}
}

func TestEveryPartOfAScopeNarrowsIt(t *testing.T) {
	t.Parallel()
	const scope = `{clusters: ["pro*"], namespaces: [web], namespaceSelector: {matchLabels: {team: a}, matchExpressions: [
    {key: kubernetes.io/metadata.name, operator: Exists}, {key: legacy, operator: DoesNotExist}, {key: tier, operator: NotIn, values: [dev]}]},
    kinds: [Deployment, Pod], images: [registry.k8s.io/acme], operations: [CREATE], users: ["system:serviceaccount:ci:*"]}`
	matched := compiled(t, one(Audit, "  match: "+scope+"\n  checks: [{name: c, expression: 'false', message: m}]"))
	excluded := compiled(t, one(Audit, "  exclude: "+scope+"\n  checks: [{name: c, expression: 'false', message: m}]"))
	eitherExcluded := compiled(t, one(Audit, "  exclude: [{namespaces: [nowhere]}, "+scope+"]\n  checks: [{name: c, expression: 'false', message: m}]"))
	for name, change := range map[string]func(*Request){
		"":              func(*Request) {},
		"the cluster":   func(q *Request) { q.Cluster = "staging" },
		"the namespace": func(q *Request) { q.Namespace = "web2" },
		"a label":       func(q *Request) { q.Labels["team"] = "b" },
		"a new label":   func(q *Request) { q.Labels["legacy"] = "" },
		"a value":       func(q *Request) { q.Labels["tier"] = "dev" },
		"a key":         func(q *Request) { delete(q.Labels, "kubernetes.io/metadata.name") },
		"the kind":      func(q *Request) { q.Kind = "Job" },
		"the image":     func(q *Request) { q.Images[0].Reference, q.Images[0].Repository = "registry.k8s.io/x", "x" },
		"the operation": func(q *Request) { q.Operation = "UPDATE" },
		"the user":      func(q *Request) { q.User = "eve" },
	} {
		req := shop()
		change(&req)
		inside := name == ""
		if got := len(matched.Decide(req, always(shopRecord()), nil).Findings) == 1; got != inside {
			t.Errorf("match, with %q changed: %v", name, got)
		}
		for _, p := range []*Program{excluded, eitherExcluded} {
			if got := len(p.Decide(req, always(shopRecord()), nil).Findings) == 0; got != inside {
				t.Errorf("exclude, with %q changed: %v", name, got)
			}
		}
	}
}
