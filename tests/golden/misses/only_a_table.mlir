// Near miss `only_a_table` of `content_dependent_bias`: Two products, and in neither the keys are the same for all queries.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[4,63,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %str = torch.constant.str "bhid,hijd->bhij"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[4,63,63,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %2 = torch.prim.ListConstruct %arg2, %arg1 : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[4,63,63,40],f32>) -> !torch.list<vtensor>
    %3 = torch.aten.einsum %str, %2, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %int1 = torch.constant.int 1
    %4 = torch.aten.add.Tensor %1, %3, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %5 = torch.aten.softmax.int %4, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %6 = torch.aten.matmul %5, %arg3 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,4,63,40],f32>
  }
}
