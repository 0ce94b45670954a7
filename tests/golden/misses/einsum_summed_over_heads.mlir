// Near miss `einsum_summed_over_heads` of `einsum_positions_first`: Scores summed over the heads too: one head of all features, whose values keep their heads.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,4,40],f32>, %arg1: !torch.vtensor<[2,63,4,40],f32>, %arg2: !torch.vtensor<[2,63,4,40],f32>) -> !torch.vtensor<[2,63,4,40],f32> {
    %str = torch.constant.str "bqhd,bkhd->bqk"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,63,4,40],f32>, !torch.vtensor<[2,63,4,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,63,63],f32>
    %int-1 = torch.constant.int -1
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[2,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,63,63],f32>
    %str_0 = torch.constant.str "bqk,bkhd->bqhd"
    %3 = torch.prim.ListConstruct %2, %arg2 : (!torch.vtensor<[2,63,63],f32>, !torch.vtensor<[2,63,4,40],f32>) -> !torch.list<vtensor>
    %4 = torch.aten.einsum %str_0, %3, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,63,4,40],f32>
    return %4 : !torch.vtensor<[2,63,4,40],f32>
  }
}
