#!/bin/sh
# Installs the real servers that the tests need on Debian and Ubuntu, and says what is missing
# elsewhere. No service is left running: the tests start their own.
set -eu

packages="prometheus prometheus-alertmanager prometheus-blackbox-exporter knot bind9-dnsutils nginx-light openssl chromium imagemagick faketime docker-registry skopeo python3-venv default-jre-headless"
programs="python3 promtool prometheus prometheus-alertmanager prometheus-blackbox-exporter knotd dig nginx openssl chromium convert faketime docker-registry skopeo keytool"

missing() {
    for program in $programs; do
        PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null 2>&1 || printf '%s ' "$program"
    done
}

# moto, which speaks the APIs of AWS, comes from PyPI into a folder of the build.
moto() {
    folder="$(dirname "$0")/../target/peers"
    [ -x "$folder/bin/moto_server" ] && return
    python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
}

# The parser of OpenMetrics comes from PyPI, beside moto.
openmetrics() {
    folder="$(dirname "$0")/../target/peers"
    "$folder/bin/python3" -c 'import prometheus_client.openmetrics' 2>/dev/null && return
    "$folder/bin/python3" -m pip install --quiet --disable-pip-version-check prometheus_client==0.23.1
}

# helm is in no Debian package; it is built from its source.
install_helm() {
    folder="$(mkdir -p "$(dirname "$0")/../target/peers/bin" && cd "$(dirname "$0")/../target/peers/bin" && pwd)"
    [ -x "$folder/helm" ] && return
    if command -v helm >/dev/null 2>&1; then
        ln -sf "$(command -v helm)" "$folder/helm"
    else
        GOBIN="$folder" go install helm.sh/helm/v3/cmd/helm@v3.18.6
    fi
}

# The API server of Kubernetes and its etcd are built from their sources, unless a folder with them is named as
# the Kubernetes world does it.
kubernetes() {
    [ -z "${KUBEBUILDER_ASSETS:-}" ] || return 0
    folder="$(mkdir -p "$(dirname "$0")/../target/peers/kubernetes" && cd "$(dirname "$0")/../target/peers/kubernetes" && pwd)"
    [ -x "$folder/kube-apiserver" ] && [ -x "$folder/etcd" ] && return
    (
        cd "$(dirname "$0")/kubernetes"
        release="$(go list -m -f '{{.Version}}' k8s.io/kubernetes)"
        # Without its version the server would not know which of its features are on.
        version="-X k8s.io/component-base/version.gitVersion=$release -X k8s.io/component-base/version.gitMajor=1"
        version="$version -X k8s.io/component-base/version.gitMinor=$(echo "$release" | cut -d. -f2)"
        go build -ldflags "-s -w $version" -o "$folder/" ./...
    )
}

# From npm: the types that Grafana publishes for its dashboards with the compiler that reads them, and the package by
# which it decides on texts and colours, with the window that it expects around it.
grafana() {
    folder="$(dirname "$0")/../target/peers/grafana"
    [ -x "$folder/node_modules/.bin/tsc" ] && [ -e "$folder/node_modules/@grafana/data/package.json" ] && [ -e "$folder/node_modules/jsdom/package.json" ] && return
    mkdir -p "$folder" && npm install --silent --no-audit --no-fund --no-save --legacy-peer-deps --prefix "$folder" \
        @grafana/schema@12.3.0 typescript@5.9.2 @grafana/data@12.3.0 jsdom@25.0.1 react@18.3.1 react-dom@18.3.1 rxjs@7.8.2
}

# What looks for barriers on a page comes from npm.
axe() {
    folder="$(dirname "$0")/../target/peers/axe"
    [ -r "$folder/node_modules/axe-core/axe.min.js" ] && return
    mkdir -p "$folder" && npm install --silent --no-audit --no-fund --no-save --prefix "$folder" axe-core@4.11.0
}

if [ -n "$(missing)" ] && [ -r /etc/debian_version ] && command -v apt-get >/dev/null; then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    # Exit code 101 keeps a package from starting its service; an existing policy is respected.
    policy=/usr/sbin/policy-rc.d
    ours=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod +x "$policy"
        ours=1
    fi
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null
    [ -z "$ours" ] || $sudo rm "$policy"
fi

left="$(missing)"
if [ -n "$left" ]; then
    echo "The tests need these programs, which could not be found or installed: $left" >&2
    echo "On Debian and Ubuntu they are in: $packages" >&2
    exit 1
fi
moto || { echo "The tests need moto_server, which could not be installed from PyPI" >&2; exit 1; }
openmetrics || { echo "The tests need prometheus_client, which could not be installed from PyPI" >&2; exit 1; }
install_helm || { echo "The tests need helm, which is neither installed nor could be built with go" >&2; exit 1; }
kubernetes || { echo "The tests need kube-apiserver and etcd, which are neither in KUBEBUILDER_ASSETS nor could be built with go" >&2; exit 1; }
axe || { echo "The tests need npm, to install axe-core, which looks for barriers on the page" >&2; exit 1; }
grafana || { echo "The tests need npm, to install Grafana's types for dashboards and what draws them" >&2; exit 1; }
