package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// debianMaven is where Debian keeps Maven's own plugins, in the layout of a repository.
const debianMaven = "/usr/share/maven-repo"

// mavenHome makes the transcript's Maven settings: its plugins come from Debian's folder, and the server
// is known as "hullmark" with the token in the variable TOKEN, or as it is told. It sets MAVEN and MAVEN_OPTS.
//
// With "mirror" everything comes through the server, the plugins, too.
//
//	maven-home [mirror | USER SECRET]
func mavenHome(ts *testscript.TestScript, neg bool, args []string) {
	user, secret := "admin", ts.Getenv("TOKEN")
	if len(args) == 2 {
		user, secret = args[0], args[1]
	}
	url := ts.Getenv("URL") + "/maven/"
	mirror := fmt.Sprintf("<id>debian</id><mirrorOf>central</mirrorOf><url>file://%s</url>", debianMaven)
	if len(args) == 1 && args[0] == "mirror" {
		mirror = fmt.Sprintf("<id>hullmark</id><mirrorOf>*</mirrorOf><url>%s</url>", url)
	}
	ts.Setenv("MAVEN", url)
	ts.Setenv("MAVEN_OPTS", "-XX:TieredStopAtLevel=1 -Duser.home="+ts.Getenv("HOME")) // Java takes no home from the environment
	m2 := filepath.Join(ts.Getenv("HOME"), ".m2")
	ts.Check(os.MkdirAll(m2, 0o700))
	settings := fmt.Sprintf(`<settings>
  <localRepository>%s</localRepository>
  <servers><server><id>hullmark</id><username>%s</username><password>%s</password></server></servers>
  <mirrors><mirror>%s</mirror></mirrors>
  <profiles><profile><id>hullmark</id>
    <properties>
      <altDeploymentRepository>hullmark::%s</altDeploymentRepository>
      <maven.compiler.source>8</maven.compiler.source><maven.compiler.target>8</maven.compiler.target>
      <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
    </properties>
    <repositories><repository><id>hullmark</id><url>%s</url><snapshots><updatePolicy>always</updatePolicy></snapshots></repository></repositories>
  </profile></profiles>
  <activeProfiles><activeProfile>hullmark</activeProfile></activeProfiles>
</settings>
`, filepath.Join(m2, "repository"), user, secret, mirror, url, url)
	ts.Check(os.WriteFile(filepath.Join(m2, "settings.xml"), []byte(settings), 0o600))
}

// foldersKey finds the folders that a transcript serves, by the variable that has their address.
type foldersKey struct{}

// folder serves the files of a folder, as the plainest upstream of all does, and puts its address into a variable.
//
//	folder PATH VARIABLE
func folder(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: folder PATH VARIABLE")
	}
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Value(foldersKey{}).(map[string]*httptest.Server)[args[1]] = s
	ts.Defer(s.Close)
	ts.Setenv(args[1], s.URL+"/")
}

// finishFolder ends what folder began: whoever asks from now on is refused the connection.
//
//	finish-folder VARIABLE
func finishFolder(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value(foldersKey{}).(map[string]*httptest.Server)[args[0]].Close()
}
