# Terraform, or OpenTofu: helm through its provider (3.0 or newer). The Secret stays outside, or its values would stand in the state.
resource "helm_release" "bridge" {
  name             = "bridge"
  namespace        = "planasonix-bridge"
  create_namespace = true
  chart            = "${path.module}/../chart"
  upgrade_install  = true # goes on from a first install that failed
  timeout          = 300
  values = [yamlencode({
    image  = { repository = "registry.example.com/planasonix-bridge" }
    config = { bridge = file("${path.module}/bridge.yaml") }
    mapping = { routes = file("${path.module}/mapping.yaml") }
  })]
}
