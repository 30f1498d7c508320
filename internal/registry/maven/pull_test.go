package maven_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// elsewhere is a repository of somebody else's: files by path, with the time of each.
type elsewhere struct {
	mu    sync.Mutex
	files map[string]string
	at    map[string]time.Time // none: no date is sent
	asked []string
	url   string
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.Path)
	body, ok := e.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if at, ok := e.at[r.URL.Path]; ok {
		w.Header().Set("Last-Modified", at.UTC().Format(http.TimeFormat))
	}
	w.Write([]byte(body))
}

// release adds a version that came out so long ago; 0 is one without a date.
func (e *elsewhere) release(version string, age time.Duration) {
	at := "/org/other/lib/" + version + "/lib-" + version + ".pom"
	e.files[at] = pom("org.other", "lib", version, "")
	e.files[at+".sha1"] = sha1Of(e.files[at])
	if age > 0 {
		e.at[at] = time.Now().Add(-age)
	}
}

// lateUpstream is an upstream that is made once its core is.
type lateUpstream struct{ registry.Upstream }

// proxy starts a repository in front of another one.
func proxy(t *testing.T) (*instance, *elsewhere) {
	t.Helper()
	e := &elsewhere{files: map[string]string{}, at: map[string]time.Time{}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	late := &lateUpstream{}
	var clk clock.Clock
	var log *slog.Logger
	in := start(t, func(c *maven.Config) { c.Upstream, clk, log = late, c.Clock, c.Log })
	client, err := upstream.New(in.core, upstream.Settings{Sources: []upstream.Source{{Ecosystem: purl.Maven, URL: e.url + "/"}}, Fresh: upstream.Duration(time.Millisecond)}, clk, log)
	accounttest.Check(t, err)
	t.Cleanup(func() { client.Close() })
	late.Upstream = client
	return in, e
}

func (e *elsewhere) list(versions ...string) {
	e.files["/org/other/lib/maven-metadata.xml"] = "<metadata><groupId>org.other</groupId><artifactId>lib</artifactId><versioning><latest>6.6.6</latest><release>6.6.6</release><versions><version>" +
		strings.Join(versions, "</version><version>") + "</version></versions></versioning></metadata>"
}

func TestVersionsOfAnUpstreamThatAreTooYoungAreNotOffered(t *testing.T) {
	t.Parallel()
	in, e := proxy(t)
	e.release("1.0", 100*time.Hour)
	e.release("1.1", time.Hour)
	e.release("1.2", 0)
	e.list("1.0", "1.1", "1.2", "1.3", "../evil")
	in.do(t, "", "GET", "org/other/lib/maven-metadata.xml", "").want(t, 200, "<latest>1.3</latest>", "!6.6.6", "!evil")

	in.core.WithCooldowns(cooldown(24*time.Hour), clock.System{})
	in.do(t, "", "GET", "org/other/lib/maven-metadata.xml", "").want(t, 200, "<release>1.0</release>", "<latest>1.0</latest>", "!<version>1.1<", "!<version>1.2<", "!1.3")
	in.do(t, "", "GET", "org/other/lib/1.1/lib-1.1.pom", "").refused(t, 403, "was published less than 24h ago")
	in.do(t, "", "GET", "org/other/lib/1.2/lib-1.2.pom", "").refused(t, 403, "was published less than 24h ago")
	in.do(t, "", "GET", "org/other/lib/1.0/lib-1.0.pom", "").want(t, 200)
	in.do(t, "", "GET", "org/other/lib/1.0/lib-1.0.pom.sha512", "").want(t, 200)
	in.Recall("pkg:maven/org.other/lib@1.0", "steals tokens")
	in.do(t, "", "GET", "org/other/lib/1.0/lib-1.0.pom", "").refused(t, 403, "was recalled: steals tokens")
	in.do(t, "", "GET", "org/other/lib/maven-metadata.xml", "").want(t, 404)
}

type cooldown time.Duration

func (c cooldown) Cooldown(context.Context, string, string) (time.Duration, error) {
	return time.Duration(c), nil
}

func TestAFileThatIsNotWhatItsChecksumSaysIsNotServed(t *testing.T) {
	t.Parallel()
	in, e := proxy(t)
	e.release("1.0", time.Hour)
	e.files["/org/other/lib/1.0/lib-1.0.jar"] = jar(t, "x", "evil")
	e.files["/org/other/lib/1.0/lib-1.0.jar.sha1"] = sha1Of("something else") + "  lib-1.0.jar"
	got := in.do(t, "", "GET", "org/other/lib/1.0/lib-1.0.pom", "").want(t, 200)
	if got.body != e.files["/org/other/lib/1.0/lib-1.0.pom"] {
		t.Errorf("got %q", got.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", in.url+"org/other/lib/1.0/lib-1.0.jar", nil)
	accounttest.Check(t, err)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		defer resp.Body.Close()
		if n, err := resp.Body.Read(make([]byte, 1<<20)); resp.StatusCode == 200 && err == nil && n == len(e.files["/org/other/lib/1.0/lib-1.0.jar"]) {
			t.Errorf("the whole file was sent")
		}
	}
}

func TestWhatIsOwnedHereIsNeverAskedForElsewhere(t *testing.T) {
	t.Parallel()
	in, e := proxy(t)
	for _, path := range []string{
		"com/acme/evil/maven-metadata.xml", "com/acme/maven-metadata.xml", "com/acme/evil/1.0/evil-1.0.jar", "com/acme/evil/1.0/evil-1.0.jar.sha1",
		"com/acme/evil/1.0/evil-1.0.jar.asc", "com/acme/evil/1.0-SNAPSHOT/maven-metadata.xml",
	} {
		in.do(t, "", "GET", path, "").want(t, 404)
	}
	if len(e.asked) > 0 {
		t.Errorf("the upstream was asked for %v", e.asked)
	}
}

func TestSnapshotsAndPluginsOfAnUpstreamComeThrough(t *testing.T) {
	t.Parallel()
	in, e := proxy(t)
	e.files["/org/other/lib/1.0-SNAPSHOT/maven-metadata.xml"] = `<metadata><versioning><snapshot><timestamp>20260101.120000</timestamp><buildNumber>3</buildNumber></snapshot></versioning></metadata>`
	e.files["/org/other/plugins/maven-metadata.xml"] = `<metadata><plugins><plugin><name>X</name><prefix>x</prefix><artifactId>x-maven-plugin</artifactId></plugin></plugins></metadata>`
	e.files["/org/other/broken/maven-metadata.xml"] = `<metadata><!ENTITY a "b">`
	in.do(t, "", "GET", "org/other/lib/1.0-SNAPSHOT/maven-metadata.xml", "").want(t, 200, "<buildNumber>3</buildNumber>")
	in.do(t, "", "GET", "org/other/plugins/maven-metadata.xml", "").want(t, 200, "<prefix>x</prefix>")
	in.do(t, "", "GET", "org/other/broken/maven-metadata.xml", "").want(t, 503)
}
