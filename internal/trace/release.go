package trace

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/purl"
)

// release is a row of the release table with its package's name.
type release struct {
	id, packageID, artifact                      int64
	ecosystem, name, version, purl               string
	digest, state, recalled, deprecated, created string
	publisher, file, origin                      string
	seq                                          int64
}

const releaseColumns = `r.id, r.package_id, r.artifact_id, p.ecosystem, p.name, r.version, r.purl, a.digest, r.state, r.recalled,
	r.deprecated, r.published, r.publisher, r.file, r.origin, r.seq`

const releaseJoins = ` FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id `

// releases returns those that where selects, in the order of their publication.
func (r *reader) releases(where string, args ...any) ([]release, error) {
	var out []release
	err := r.Each(`SELECT `+releaseColumns+releaseJoins+where, args, func(rows *sql.Rows) error {
		l, err := scanRelease(rows)
		out = append(out, l)
		return err
	})
	return out, err
}

func scanRelease(rows *sql.Rows) (release, error) {
	var l release
	err := rows.Scan(&l.id, &l.packageID, &l.artifact, &l.ecosystem, &l.name, &l.version, &l.purl, &l.digest, &l.state, &l.recalled,
		&l.deprecated, &l.created, &l.publisher, &l.file, &l.origin, &l.seq)
	return l, err
}

// visible splits releases into those that the actor may read and the number of the others.
func (r *reader) visible(all []release) (seen []release, hidden int, err error) {
	for _, l := range all {
		ok, err := r.mayRead(l.ecosystem, l.name)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			seen = append(seen, l)
		} else {
			hidden++
		}
	}
	return seen, hidden, nil
}

func (l release) isImage() bool { return l.ecosystem == purl.OCI }

func (l release) node() *Node {
	n := &Node{Kind: KindRelease, ID: l.purl, Title: l.ecosystem + " " + l.name + " " + l.version}
	n.set("artifact", l.digest).set("state", l.state).set("recalled", l.recalled).set("deprecated", l.deprecated)
	n.set("file", l.file).set("origin", l.origin)
	return n.set("published", l.created).set("publisher", l.publisher).rests(l.seq)
}

// byPURL starts from a purl: a release that was published here, a name with releases, or a
// component that was only ever seen inside layers.
func (r *reader) byPURL(p purl.PURL) (*Node, string, error) {
	all, err := r.releases(`WHERE r.purl = $1 ORDER BY r.seq`, p)
	if err != nil {
		return nil, "", err
	}
	seen, hidden, err := r.visible(all)
	switch {
	case err != nil:
		return nil, "", err
	case len(seen) > 0 && seen[0].isImage():
		return r.image(seen[0].artifact)
	case len(seen) > 0:
		return r.fromRelease(seen[0])
	case hidden > 0:
		return nil, "", nil // as if it were not there
	}
	if ecosystem, name, version := p.Split(); version == "" {
		return r.fromPackage(ecosystem, name)
	}
	return r.fromComponent(p)
}

// fromRelease goes from a release to its publication and to the layers and images that hold it.
func (r *reader) fromRelease(l release) (*Node, string, error) {
	root, found, err := r.releaseTree(l)
	if err != nil {
		return nil, "", err
	}
	by, err := r.publishedBy(l)
	return root, found.sentence() + ", " + by, err
}

// releaseTree is the subtree of one release: history first, then where it is.
func (r *reader) releaseTree(l release) (*Node, *containment, error) {
	root := l.node()
	if err := r.addHistory(root, l); err != nil {
		return nil, nil, err
	}
	found, err := r.contain(l.purl, l)
	if err != nil {
		return nil, nil, err
	}
	if len(found.files) == 0 {
		root.add(gap("none of its files can be recognised in a layer: searched by metadata only"))
	}
	return root, found, r.addLayers(root, found)
}

// fromComponent goes from a purl that nobody published here to the layers that name it.
func (r *reader) fromComponent(p purl.PURL) (*Node, string, error) {
	found, err := r.contain(string(p), release{})
	if err != nil || found.empty() {
		return nil, "", err
	}
	root := &Node{Kind: KindComponent, ID: string(p), Title: string(p)}
	root.add(gap(notPublished))
	return root, found.sentence() + ", " + notPublished, r.addLayers(root, found)
}

const notPublished = "no publication record: not published here"

// fromPackage goes from a name to its newest releases, each with where it is.
func (r *reader) fromPackage(ecosystem, name string) (*Node, string, error) {
	all, err := r.releases(`WHERE p.ecosystem = $1 AND p.name = $2 ORDER BY r.seq DESC`, ecosystem, name)
	if err != nil || len(all) == 0 {
		return nil, "", err
	}
	if ok, err := r.mayRead(ecosystem, name); err != nil || !ok {
		return nil, "", err
	}
	root := &Node{Kind: KindPackage, ID: string(purl.New(ecosystem, name, "")), Title: ecosystem + " " + name}
	found, err := r.addReleases(root, all, len(all))
	return root, fmt.Sprintf("%s, %s", plural(len(all), "release"), found.sentence()), err
}

// expanded is how many releases below a name or a publisher are followed into images: each costs
// as much as a trace of its own.
const expanded = 20

// addReleases hangs the first of all, with their subtrees, below n and returns what they found
// together. total is how many there are.
func (r *reader) addReleases(n *Node, all []release, total int) (*containment, error) {
	sum := newContainment()
	all = all[:min(len(all), r.limits.Releases, expanded)]
	for _, l := range all {
		if l.isImage() {
			child, err := r.pushed(l)
			if err != nil {
				return nil, err
			}
			n.add(child)
			continue
		}
		child, found, err := r.releaseTree(l)
		if err != nil {
			return nil, err
		}
		n.add(child)
		sum.join(found)
	}
	n.add(truncated(total-len(all), "release"))
	return sum, nil
}

// pushed returns an image with its history and without its layers: a trace of its own shows those.
func (r *reader) pushed(l release) (*Node, error) {
	n, err := r.imageNode(l.artifact)
	if err != nil {
		return nil, err
	}
	return n, r.addHistory(n, l)
}

// byDigest starts from a digest: of anything published, of a layer in either form, or of a file.
func (r *reader) byDigest(d digest.Digest) (*Node, string, error) {
	type found struct {
		id   int64
		kind string
	}
	var a found
	err := r.Each(`SELECT id, kind FROM artifact WHERE digest = $1`, []any{d}, func(rows *sql.Rows) error {
		return rows.Scan(&a.id, &a.kind)
	})
	if err != nil {
		return nil, "", err
	}
	if a.id == 0 {
		a.kind = "layer"
		if a.id, err = inside.One[int64](r.Reader, `SELECT layer_id FROM layer_blob WHERE blob = $1`, d); err != nil {
			return nil, "", err
		}
	}
	switch {
	case a.id == 0:
		return r.fromFile(d)
	case a.kind == "layer":
		return r.fromLayer(a.id)
	case a.kind == "manifest":
		return r.image(a.id)
	}
	return r.fromArtifact(a.id)
}

// fromArtifact starts from an archive's digest; the same bytes may be several releases.
func (r *reader) fromArtifact(artifact int64) (*Node, string, error) {
	all, err := r.releases(`WHERE r.artifact_id = $1 ORDER BY r.seq`, artifact)
	if err != nil {
		return nil, "", err
	}
	seen, _, err := r.visible(all)
	if err != nil || len(seen) == 0 {
		return nil, "", err
	}
	root, summary, err := r.fromRelease(seen[0])
	if err == nil && len(seen) > 1 {
		for _, l := range seen[1:] {
			root.add(l.node().set("grounds", "same archive"))
		}
	}
	return root, summary, err
}

// addHistory hangs what the record knows of how l came to be below n.
func (r *reader) addHistory(n *Node, l release) error {
	err := r.Each(`SELECT seq, event, account, credential, label, method, address_hash, assurance, at FROM publication
		WHERE package_id = $1 AND version = $2 ORDER BY seq`, []any{l.packageID, l.version}, func(rows *sql.Rows) error {
		p, err := scanPublication(rows)
		n.add(p)
		return err
	})
	if err != nil {
		return err
	}
	n.Children = cut(n.Children, r.limits.Releases, "event")
	if err := r.addDecisions(n, l); err != nil {
		return err
	}
	if err := r.addApprovals(n, l); err != nil {
		return err
	}
	return r.addRecall(n, l)
}

func scanPublication(rows *sql.Rows) (*Node, error) {
	var seq int64
	var event, account, credential, label, method, address, assurance, at string
	err := rows.Scan(&seq, &event, &account, &credential, &label, &method, &address, &assurance, &at)
	n := &Node{Kind: KindPublication, ID: strconv.FormatInt(seq, 10), Title: event + by(account, credential, label) + " at " + minute(at)}
	n.set("event", event).set("account", account).set("credential", credential).set("label", label).set("method", method)
	return n.set("addressHash", address).set("assurance", assurance).set("at", at).rests(seq), err
}

// minute shortens a stored time for a title; the attribute keeps the whole.
func minute(at string) string {
	if len(at) < len("2006-01-02T15:04") {
		return at
	}
	return strings.Replace(at[:len("2006-01-02T15:04")], "T", " ", 1) + " UTC"
}

// by says who did something and with which credential, by its id and by what its holder calls it.
func by(account, credential, label string) string {
	if account == "" {
		return " by an anonymous caller"
	}
	if credential == "" {
		return " by " + account
	}
	if label != "" {
		credential += " (" + label + ")"
	}
	return " by " + account + " with " + credential
}

func (r *reader) addDecisions(n *Node, l release) error {
	var all []*Node
	pulls := ""
	if ok, err := r.may(evidence.Publish, l.ecosystem, l.name); err != nil {
		return err
	} else if ok {
		pulls = evidence.Pulls(purl.PURL(l.purl)).Name
	}
	err := r.Each(`SELECT seq, gate, action, verdict, code, account, policy, count, at FROM decision WHERE subject IN ($1, $2) ORDER BY seq`,
		[]any{l.purl, pulls}, func(rows *sql.Rows) error {
			d, err := scanDecision(rows)
			all = append(all, d)
			return err
		})
	n.add(cut(all, r.limits.Releases, "decision")...)
	return err
}

func scanDecision(rows *sql.Rows) (*Node, error) {
	var seq, count int64
	var gate, action, verdict, code, account, policy, at string
	err := rows.Scan(&seq, &gate, &action, &verdict, &code, &account, &policy, &count, &at)
	n := &Node{Kind: KindDecision, ID: strconv.FormatInt(seq, 10), Title: gate + " gate: " + verdict + " " + action}
	if count > 1 {
		n.Title += " " + strconv.FormatInt(count, 10) + " times"
	}
	if code != "" {
		n.Title += " (" + code + ")"
	}
	n.Title += by(account, "", "") + " at " + minute(at)
	n.set("gate", gate).set("account", account).set("action", action).set("verdict", verdict).set("code", code).set("policy", policy).set("at", at)
	return n.set("count", strconv.FormatInt(count, 10)).rests(seq), err
}

func (r *reader) addRecall(n *Node, l release) error {
	return r.Each(`SELECT x.seq, min(x.subject), x.reason, x.account, x.at, (SELECT count(*) FROM receipt WHERE recall_seq = x.seq),
			coalesce(max(y.via), '') FROM recall x LEFT JOIN recall_reach y ON y.subject = x.subject AND y.artifact_id = $3
		WHERE x.subject IN ($1, $2) OR x.subject IN (SELECT subject FROM recall_reach WHERE artifact_id = $3)
		GROUP BY x.seq, x.reason, x.account, x.at ORDER BY x.seq`,
		[]any{l.purl, l.digest, l.artifact}, func(rows *sql.Rows) error {
			var seq int64
			var subject, reason, account, at, via string
			var receipts int
			if err := rows.Scan(&seq, &subject, &reason, &account, &at, &receipts, &via); err != nil {
				return err
			}
			c := &Node{Kind: KindRecall, ID: strconv.FormatInt(seq, 10), Title: "recalled" + by(account, "", "") + " at " + minute(at) + ": " + reason}
			if via != "" {
				c.Title += " (it holds " + via + ")"
			}
			if receipts > 0 {
				c.Title += ", carried out by " + plural(receipts, "gate")
				c.setInt("receipts", receipts)
			}
			n.add(c.set("subject", subject).set("reason", reason).set("account", account).set("at", at).set("via", via).rests(seq))
			return nil
		})
}

// cut shortens nodes to limit and says how many are missing.
func cut(nodes []*Node, limit int, what string) []*Node {
	if len(nodes) <= limit {
		return nodes
	}
	return append(nodes[:limit:limit], truncated(len(nodes)-limit, what))
}

// publishedBy is the part of a summary that names who published l.
func (r *reader) publishedBy(l release) (string, error) {
	if l.origin != "" {
		return "published elsewhere at " + minute(l.created) + ", fetched from " + l.origin, nil
	}
	var credential, label string
	err := r.Each(`SELECT credential, label FROM publication WHERE seq = $1`, []any{l.seq}, func(rows *sql.Rows) error {
		return rows.Scan(&credential, &label)
	})
	return "published" + by(l.publisher, credential, label) + " at " + minute(l.created), err
}
