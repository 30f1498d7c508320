package maven_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestAReleaseGoesInOnceAndComesOutWithAllChecksums(t *testing.T) {
	t.Parallel()
	in := start(t)
	const at = "com/acme/ui/1.0/ui-1.0.jar"
	content := jar(t, "com/acme/Ui.class", "code")
	in.deploy(t, "1.0")
	in.do(t, "alice", "PUT", at, content).want(t, 201)
	in.do(t, "alice", "PUT", at+".sha1", sha1Of(content)+"  ui-1.0.jar\n").want(t, 201)
	in.do(t, "alice", "PUT", at+".md5", "00000000000000000000000000000000").refused(t, 400, "the md5 of ui-1.0.jar is ")
	in.do(t, "alice", "PUT", "com/acme/ui/1.0/ui-1.0-sources.jar.sha1", sha1Of("")).want(t, 404)

	got := in.do(t, "", "GET", at, "").want(t, 200)
	if got.body != content || got.Header.Get("Content-Type") != "application/java-archive" {
		t.Errorf("got %d bytes of %s", len(got.body), got.Header.Get("Content-Type"))
	}
	for algorithm, digits := range map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128} {
		sum := in.do(t, "", "GET", at+"."+algorithm, "").want(t, 200)
		if len(sum.body) != digits || algorithm == "sha1" && sum.body != sha1Of(content) {
			t.Errorf("%s is %q", algorithm, sum.body)
		}
	}
	in.do(t, "", "HEAD", at, "").want(t, 200)
	if part := in.do(t, "", "GET", at, "", "Range", "bytes=0-1").want(t, 206); part.body != "PK" {
		t.Errorf("a range is %q", part.body)
	}

	// What broke off half-way can be repeated; nothing else can.
	in.do(t, "alice", "PUT", at, content).want(t, 201)
	in.do(t, "alice", "PUT", at, jar(t, "com/acme/Ui.class", "other code")).refused(t, 409, "a release is never overwritten")
	in.do(t, "mallory", "PUT", at, content).want(t, 403)
	if r := in.do(t, "", "PUT", at, content).want(t, 401); !strings.HasPrefix(r.Header.Get("Www-Authenticate"), "Basic ") {
		t.Errorf("asked for credentials by %q", r.Header.Get("Www-Authenticate"))
	}
}

func TestWhatAFileSaysOfItselfMustBeItsAddress(t *testing.T) {
	t.Parallel()
	in := start(t)
	const at = "com/acme/ui/1.0/ui-1.0"
	own, others := "META-INF/maven/com.acme/ui/", "META-INF/maven/org.other/lib/"
	for name, one := range map[string]struct{ path, body, reason string }{
		"another group":       {at + ".pom", pom("com.rival", "ui", "1.0", ""), `groupId is "com.rival"`},
		"another artifact":    {at + ".pom", pom("com.acme", "core", "1.0", ""), `artifactId is "core"`},
		"another version":     {at + ".pom", pom("com.acme", "ui", "1.1", ""), `version is "1.1"`},
		"an open question":    {at + ".pom", pom("com.acme", "ui", "${revision}", ""), "flatten-maven-plugin"},
		"no project":          {at + ".pom", "<html/>", "cannot be read"},
		"no XML":              {at + ".pom", "hello", "cannot be read"},
		"an entity":           {at + ".pom", `<!DOCTYPE p [<!ENTITY a "b">]>` + strings.TrimPrefix(pom("com.acme", "ui", "1.0", "<name>&a;</name>"), `<?xml version="1.0" encoding="UTF-8"?>`), "cannot be read"},
		"too deep":            {at + ".pom", pom("com.acme", "ui", "1.0", strings.Repeat("<a>", 100)+strings.Repeat("</a>", 100)), "cannot be read"},
		"a module of another": {at + ".module", `{"component": {"group": "com.acme", "module": "core", "version": "1.0"}}`, "Gradle module says"},
		"a module with files elsewhere": {at + ".module", `{"component": {"group": "com.acme", "module": "ui", "version": "1.0"},
			"variants": [{"files": [{"name": "x", "url": "../../evil/1.0/evil-1.0.jar"}]}]}`, "not a file of this version"},
		"a jar of another version": {at + ".jar", jar(t, own+"pom.properties", "version=0.9\n"), `is version "0.9"`},
		"a jar of another project": {at + ".jar", jar(t, others+"pom.properties", "version=1.0\n"), "says that it is org.other:lib"},
		"a jar whose pom differs":  {at + ".jar", jar(t, own+"pom.xml", pom("com.acme", "ui", "0.9", "")), `is version "0.9"`},
		"no jar":                   {at + ".jar", "hello", ""},
		"nothing":                  {at + ".jar", "", "is empty"},
		"a snapshot by name":       {"com/acme/ui/1.0-SNAPSHOT/ui-1.0-SNAPSHOT.pom", pom("com.acme", "ui", "1.0-SNAPSHOT", ""), "has no timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			in.do(t, "alice", "PUT", one.path, one.body).refused(t, 400, one.reason)
		})
	}
	in.do(t, "alice", "PUT", at+".txt/../../evil", "x").want(t, 404)

	// What was packed in beside the jar's own project is no contradiction, and is on the record.
	shaded := jar(t, own+"pom.properties", "version=1.0\n", others+"pom.properties", "#made by Maven\nversion=3.2.1\n")
	in.do(t, "alice", "PUT", at+".jar", shaded).want(t, 201)
	r, err := in.core.File(t.Context(), purl.Maven, "com.acme/ui", "ui-1.0.jar")
	accounttest.Check(t, err)
	if found := in.components(t, r.Artifact.Hex()); !strings.Contains(found, "pkg:maven/org.other/lib@3.2.1") {
		t.Errorf("the record knows of %q", found)
	}
}

// components are the purls that the record found in an artifact.
func (in *instance) components(t *testing.T, hex string) string {
	t.Helper()
	rows, err := in.core.Record().DB().Query().QueryContext(t.Context(), `SELECT c.purl FROM component c
		JOIN artifact_component x ON x.component_id = c.id JOIN artifact a ON a.id = x.artifact_id WHERE a.digest = $1`, "sha256:"+hex)
	accounttest.Check(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		accounttest.Check(t, rows.Scan(&one))
		all = append(all, one)
	}
	accounttest.Check(t, rows.Err())
	return strings.Join(all, " ")
}

func TestSignaturesAreCheckedOrRefused(t *testing.T) {
	t.Parallel()
	in := start(t)
	const at = "com/acme/ui/1.0/ui-1.0.pom"
	in.do(t, "alice", "PUT", at+".asc", "signed: ").want(t, 404)
	in.deploy(t, "1.0")
	content := pom("com.acme", "ui", "1.0", "")
	in.do(t, "alice", "PUT", at+".asc", "signed: something else").refused(t, 400, "the signature does not hold")
	in.do(t, "alice", "PUT", at+".asc", "signed: "+content).want(t, 201)
	in.do(t, "alice", "PUT", at+".asc.sha1", sha1Of("signed: "+content)).want(t, 201)
	in.do(t, "", "GET", at+".asc", "").want(t, 200, "signed: ")
	sum := in.do(t, "", "GET", at+".sha256", "").body
	in.do(t, "alice", "PUT", at+".sigstore.json", "of another").refused(t, 400, "the attestation does not hold")
	in.do(t, "alice", "PUT", at+".sigstore.json", sum).want(t, 201)
	var proofs int
	err := in.core.Record().DB().Query().QueryRowContext(t.Context(), `SELECT count(*) FROM statement WHERE CAST(body AS TEXT) LIKE '%"verdict":"holds"%' AND CAST(body AS TEXT) LIKE '%'||$1||'%'`, sum).Scan(&proofs)
	accounttest.Check(t, err)
	if proofs < 2 {
		t.Errorf("%d verifications of the pom are on the record, want 2", proofs)
	}
}

func TestMetadataIsOursAndNeverTheClients(t *testing.T) {
	t.Parallel()
	in := start(t)
	for _, v := range []string{"1.9", "1.10", "1.10-rc1", "2.0-alpha"} {
		in.deploy(t, v)
	}
	in.do(t, "alice", "PUT", "com/acme/ui/maven-metadata.xml", "<metadata><versioning><release>6.6.6</release></versioning></metadata>").want(t, 201)
	in.do(t, "alice", "PUT", "com/acme/ui/maven-metadata.xml.sha1", "0").want(t, 201)
	m := in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml", "").want(t, 200, "<release>2.0-alpha</release>", "!6.6.6")
	if i, j, k := strings.Index(m.body, ">1.9<"), strings.Index(m.body, ">1.10-rc1<"), strings.Index(m.body, ">1.10<"); i > j || j > k {
		t.Errorf("the versions are not in Maven's order: %s", m.body)
	}
	in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml.sha1", "").want(t, 200, sha1Of(m.body))
	in.Recall("pkg:maven/com.acme/ui@2.0-alpha", "steals tokens")
	in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml", "").want(t, 200, "<release>1.10</release>", "!2.0-alpha")
	in.do(t, "", "GET", "com/acme/ui/2.0-alpha/ui-2.0-alpha.pom", "").refused(t, 403, "was recalled: steals tokens")
	in.do(t, "", "GET", "com/acme/none/maven-metadata.xml", "").want(t, 404)
}

func TestSnapshotsAddUp(t *testing.T) {
	t.Parallel()
	in := start(t)
	const folder = "com/acme/ui/1.0-SNAPSHOT/"
	for _, build := range []string{"1.0-20260101.120000-1", "1.0-20260102.120000-2"} {
		in.do(t, "alice", "PUT", folder+"ui-"+build+".pom", pom("com.acme", "ui", "1.0-SNAPSHOT", "<name>"+build+"</name>")).want(t, 201)
	}
	in.do(t, "alice", "PUT", folder+"ui-1.0-20260101.120000-1-sources.jar", jar(t, "Ui.java", "x")).want(t, 201)
	in.do(t, "", "GET", folder+"maven-metadata.xml", "").want(t, 200, "<buildNumber>2</buildNumber>", "<timestamp>20260102.120000</timestamp>",
		"<value>1.0-20260102.120000-2</value>", "<classifier>sources</classifier>", "<value>1.0-20260101.120000-1</value>")
	in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml", "").want(t, 200, "<latest>1.0-SNAPSHOT</latest>", "!<release>")
	in.do(t, "", "GET", folder+"ui-1.0-SNAPSHOT.pom", "").want(t, 200, "1.0-20260102.120000-2")
	in.Recall("pkg:maven/com.acme/ui@1.0-20260102.120000-2", "bad build")
	in.do(t, "", "GET", folder+"maven-metadata.xml", "").want(t, 200, "<buildNumber>1</buildNumber>")
	in.do(t, "", "GET", folder+"ui-1.0-SNAPSHOT.pom", "").want(t, 200, "1.0-20260101.120000-1")
}

func TestAVersionThatIsTooYoungIsOfferedToNobody(t *testing.T) {
	t.Parallel()
	in := start(t)
	actor, err := in.Accounts.AuthenticateSecret(t.Context(), "alice", in.Tokens["alice"], "127.0.0.1:1")
	accounttest.Check(t, err)
	in.deploy(t, "1.0")
	accounttest.Check(t, in.Accounts.SetCooldown(t.Context(), actor, purl.Maven, "com.acme", time.Hour))
	in.Ahead(2 * time.Hour)
	in.deploy(t, "1.1")
	in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml", "").want(t, 200, "<release>1.0</release>", "!<version>1.1<")
	in.do(t, "", "GET", "com/acme/ui/1.1/ui-1.1.pom", "").refused(t, 403, "was published less than 1h ago")
	in.Ahead(4 * time.Hour)
	in.do(t, "", "GET", "com/acme/ui/maven-metadata.xml", "").want(t, 200, "<release>1.1</release>")
	in.do(t, "", "GET", "com/acme/ui/1.1/ui-1.1.pom", "").want(t, 200)
}

func TestPluginsAndArchetypesAreIndexed(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.do(t, "alice", "PUT", "com/acme/hull-maven-plugin/1.0/hull-maven-plugin-1.0.pom",
		pom("com.acme", "hull-maven-plugin", "1.0", "<packaging>maven-plugin</packaging><name>Hull</name>")).want(t, 201)
	in.do(t, "", "GET", "com/acme/maven-metadata.xml", "").want(t, 200, "<prefix>hull</prefix>", "<artifactId>hull-maven-plugin</artifactId>", "<name>Hull</name>")
	in.do(t, "alice", "PUT", "com/acme/hull-maven-plugin/1.0/hull-maven-plugin-1.0.jar",
		jar(t, "META-INF/maven/plugin.xml", "<plugin><goalPrefix>ship</goalPrefix></plugin>")).want(t, 201)
	in.do(t, "", "GET", "com/acme/maven-metadata.xml", "").want(t, 200, "<prefix>ship</prefix>")
	in.do(t, "alice", "PUT", "com/acme/start/1.0/start-1.0.pom",
		pom("com.acme", "start", "1.0", "<packaging>maven-archetype</packaging><description>A start</description>")).want(t, 201)
	in.do(t, "", "GET", "archetype-catalog.xml", "").want(t, 200, "<artifactId>start</artifactId>", "<description>A start</description>", "!hull")
	actor, err := in.Accounts.AuthenticateSecret(t.Context(), "alice", in.Tokens["alice"], "127.0.0.1:1")
	accounttest.Check(t, err)
	accounttest.Check(t, in.Accounts.SetVisibility(t.Context(), actor, purl.Maven, "com.acme", account.Private))
	in.do(t, "", "GET", "archetype-catalog.xml", "").want(t, 200, "!start")
	in.do(t, "", "GET", "com/acme/maven-metadata.xml", "").want(t, 401)
}

func TestARefusalIsOnTheRecord(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.do(t, "alice", "PUT", "com/acme/ui/1.0/ui-1.0.pom", pom("com.acme", "core", "1.0", "")).want(t, 400)
	var n int
	accounttest.Check(t, in.core.Record().DB().Query().QueryRowContext(t.Context(), `SELECT count(*) FROM statement WHERE CAST(body AS TEXT) LIKE '%"code":"coordinates-differ"%'`).Scan(&n))
	if n != 1 {
		t.Errorf("%d decisions, want one", n)
	}
}
