package policy

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

const uiKit = "pkg:npm/%40acme/ui-kit@4.2.1"

// denied is a request whose image fails one check of policy p by one component.
func denied(t *testing.T) (*Program, Request, Record) {
	p := compiled(t, one(Enforce, `  checks: [{name: c, foreach: components, expression: '!component.release', message: m}]`))
	return p, shop(), shopRecord()
}

func TestEveryFieldOfAnExceptionsScopeMustMatch(t *testing.T) {
	t.Parallel()
	p, req, rec := denied(t)
	full := evidence.ExceptionScope{Cluster: "prod", Namespace: "web", Kind: "Deployment", Name: "shop", Image: "registry.k8s.io/acme", Component: "pkg:npm/%40acme/ui-kit"}
	for _, c := range []struct {
		name   string
		change func(*Exception)
		allow  bool
	}{
		{"all match", func(*Exception) {}, true},
		{"every policy", func(e *Exception) { e.Policy = "*" }, true},
		{"another policy", func(e *Exception) { e.Policy = "q" }, false},
		{"no policy", func(e *Exception) { e.Policy = "" }, false},
		{"another cluster", func(e *Exception) { e.Scope.Cluster = "dev" }, false},
		{"another namespace", func(e *Exception) { e.Scope.Namespace = "we" }, false},
		{"another kind", func(e *Exception) { e.Scope.Kind = "Pod" }, false},
		{"another name", func(e *Exception) { e.Scope.Name = "shop2" }, false},
		{"a digest", func(e *Exception) { e.Scope.Image = shopDigest }, true},
		{"another digest", func(e *Exception) { e.Scope.Image = shopDigest[:len(shopDigest)-1] }, false},
		{"half a segment", func(e *Exception) { e.Scope.Image = "registry.k8s.io/ac" }, false},
		{"this version", func(e *Exception) { e.Scope.Component = uiKit }, true},
		{"a component that is spelt otherwise", func(e *Exception) { e.Scope.Component = "pkg:npm/@acme/ui-kit" }, true},
		{"another version", func(e *Exception) { e.Scope.Component = "pkg:npm/%40acme/ui-kit@4.2" }, false},
		{"another component", func(e *Exception) { e.Scope.Component = "pkg:npm/%40acme/ui" }, false},
		{"an empty scope", func(e *Exception) { e.Scope = evidence.ExceptionScope{} }, false},
		{"not approved", func(e *Exception) { e.ApprovedSeq = 0 }, false},
		{"revoked", func(e *Exception) { e.RevokedSeq = 4 }, false},
		{"expired this very moment", func(e *Exception) { e.Expires = noon }, false},
		{"expiring in a nanosecond", func(e *Exception) { e.Expires = noon.Add(1) }, true},
		{"never expiring", func(e *Exception) { e.Expires = time.Time{} }, false},
	} {
		e := Exception{ID: 12, Policy: "p", Scope: full, ApprovedSeq: 3, Expires: noon.Add(time.Hour)}
		c.change(&e)
		v := p.Decide(req, always(rec), []Exception{e})
		if v.Allow != c.allow || len(v.Findings) != 1 || (v.Findings[0].Exception == 12) != c.allow || slices.Equal(v.Exceptions, []int64{12}) != c.allow {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestAnExceptionForAComponentDoesNotLetTheImagePast(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Enforce, `  checks: [{name: c, expression: 'false', message: m}]`))
	e := Exception{ID: 12, Policy: "p", Scope: evidence.ExceptionScope{Component: uiKit}, ApprovedSeq: 3, Expires: noon.Add(time.Hour)}
	if v := p.Decide(shop(), always(shopRecord()), []Exception{e}); v.Allow {
		t.Errorf("got %+v", v)
	}
}

func TestOfSeveralExceptionsTheOldestIsUsed(t *testing.T) {
	t.Parallel()
	p, req, rec := denied(t)
	e := Exception{ID: 30, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, ApprovedSeq: 3, Expires: noon.Add(time.Hour)}
	older, narrow := e, e
	older.ID, narrow.ID, narrow.Scope.Namespace = 7, 2, "other"
	if v := p.Decide(req, always(rec), []Exception{e, older, narrow}); !slices.Equal(v.Exceptions, []int64{7}) {
		t.Errorf("used %v", v.Exceptions)
	}
}

func TestAnExceptionCoversAnErrorToo(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Enforce, "  match: {namespaceSelector: {matchLabels: {a: b}}}\n  checks: [{name: c, expression: 'true', message: m}]"))
	req := shop()
	req.Labels = nil
	e := Exception{ID: 12, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, ApprovedSeq: 3, Expires: noon.Add(time.Hour)}
	if v := p.Decide(req, always(shopRecord()), []Exception{e}); !v.Allow || v.Findings[0].Error == "" {
		t.Errorf("got %+v", v)
	}
}

// TestNoExceptionReachesFurtherThanItsScope draws exceptions and requests at random and holds the resolver
// against the sentences of the documentation, spelt out one by one.
func TestNoExceptionReachesFurtherThanItsScope(t *testing.T) {
	t.Parallel()
	p, req, rec := denied(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 4_000 {
		var list []Exception
		for id := range random.IntN(4) {
			list = append(list, Exception{
				ID: int64(id + 1), Policy: pick("p", "*", "q", ""), ApprovedSeq: int64(random.IntN(2)), RevokedSeq: int64(random.IntN(4) / 3),
				Expires: noon.Add(time.Duration(random.IntN(3)-1) * time.Minute),
				Scope: evidence.ExceptionScope{Cluster: pick("", "prod", "dev"), Namespace: pick("", "web", "we"), Kind: pick("", "Deployment", "Pod"),
					Name: pick("", "shop", "sho"), Image: pick("", shopDigest, "registry.k8s.io/acme", "registry.k8s.io/acm"),
					Component: pick("", uiKit, "pkg:npm/%40acme/ui-kit", "pkg:npm/%40acme/ui", "pkg:npm/%40acme/ui-kit@4")},
			})
		}
		want := int64(0)
		for _, e := range list {
			s := e.Scope
			holds := (e.Policy == "p" || e.Policy == "*") && e.ApprovedSeq > 0 && e.RevokedSeq == 0 && noon.Before(e.Expires) &&
				s != (evidence.ExceptionScope{}) && (s.Cluster == "" || s.Cluster == "prod") && (s.Namespace == "" || s.Namespace == "web") &&
				(s.Kind == "" || s.Kind == "Deployment") && (s.Name == "" || s.Name == "shop") &&
				(s.Image == "" || s.Image == shopDigest || s.Image == "registry.k8s.io/acme") &&
				(s.Component == "" || s.Component == uiKit || s.Component == "pkg:npm/%40acme/ui-kit")
			if holds && want == 0 {
				want = e.ID
			}
		}
		v := p.Decide(req, always(rec), list)
		if v.Findings[0].Exception != want || v.Allow != (want != 0) {
			t.Fatalf("used %d, want %d, of %+v", v.Findings[0].Exception, want, list)
		}
	}
}

func TestWithoutAClockNoExceptionIsInForce(t *testing.T) {
	t.Parallel()
	p, req, rec := denied(t)
	req.At = time.Time{}
	e := Exception{ID: 12, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, ApprovedSeq: 3, Expires: noon}
	if v := p.Decide(req, always(rec), []Exception{e}); v.Allow {
		t.Errorf("got %+v", v)
	}
}

func FuzzComponentScope(f *testing.F) {
	for _, s := range [][2]string{{uiKit, uiKit}, {"pkg:npm/%40acme/ui-kit", uiKit}, {"pkg:npm/a", "pkg:npm/a@1?x=y"}, {"pkg:npm/", "pkg:npm/@acme/ui@1"}, {"pkg:npm/a@1", "pkg:npm/a@1#sub"}, {"", "x"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, scope, component string) {
		if !sameComponent(scope, component) {
			return
		}
		// What is let past is named by the scope, and goes on only with a version, qualifiers or a subpath.
		rest, ok := strings.CutPrefix(component, scope)
		if !ok || scope == "" || rest != "" && !strings.ContainsRune("@?#", rune(rest[0])) {
			t.Errorf("%q lets %q past", scope, component)
		}
		if strings.Contains(scope, "@") && strings.HasPrefix(rest, "@") {
			t.Errorf("%q has a version already and lets %q past", scope, component)
		}
	})
}

func FuzzImageScope(f *testing.F) {
	f.Add("reg.example/acme", "reg.example", "acme/shop", "1")
	f.Add("reg.example", "reg.example:5000", "acme/shop", "1")
	f.Fuzz(func(t *testing.T, prefix, registry, repository, tag string) {
		i := Image{Registry: registry, Repository: repository, Tag: tag, Reference: registry + "/" + repository + ":" + tag}
		if !i.within(prefix) {
			return
		}
		if prefix == "" || !strings.HasPrefix(i.Reference, prefix) {
			t.Errorf("%q holds %q", prefix, i.Reference)
		}
		if !strings.Contains(prefix, "/") && !strings.ContainsAny(registry, "/@") && !strings.ContainsAny(repository+tag, ":/@") && prefix != registry {
			t.Errorf("%q without a slash holds an image of the registry %q", prefix, registry)
		}
	})
}

func TestDecideChangesNothingThatItWasGiven(t *testing.T) {
	t.Parallel()
	p, req, rec := denied(t)
	rec.Recalls = []Recall{{Subject: uiKit, Via: uiKit, Gates: []string{"pull"}}, {Subject: uiKit, Via: uiKit}}
	list := []Exception{{ID: 3, Policy: "p"}, {ID: 1, Policy: "p"}}
	req2, rec2, list2 := shop(), shopRecord(), slices.Clone(list)
	rec2.Recalls = slices.Clone(rec.Recalls)
	p.Decide(req, always(rec), list)
	if !reflect.DeepEqual(req, req2) || !reflect.DeepEqual(rec, rec2) || !reflect.DeepEqual(list, list2) {
		t.Error("request, record or exceptions were changed")
	}
}
