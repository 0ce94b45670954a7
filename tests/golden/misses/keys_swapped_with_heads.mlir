// Near miss `keys_swapped_with_heads` of `safe_softmax`: K with heads and positions exchanged (as many heads as keys): each query's own slice of another tensor.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,4,40],f32>, %arg1: !torch.vtensor<[2,4,4,40],f32>, %arg2: !torch.vtensor<[2,4,4,40],f32>) -> !torch.vtensor<[2,4,4,40],f32> {
    %str = torch.constant.str "bhqd,bqkd->bhqk"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,4,4,40],f32>, !torch.vtensor<[2,4,4,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,4,4],f32>
    %int-1 = torch.constant.int -1
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[2,4,4,4],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,4,4],f32>
    %3 = torch.aten.matmul %2, %arg2 : !torch.vtensor<[2,4,4,4],f32>, !torch.vtensor<[2,4,4,40],f32> -> !torch.vtensor<[2,4,4,40],f32>
    return %3 : !torch.vtensor<[2,4,4,40],f32>
  }
}
