// Near miss `gqa_rank_five` of `gqa_rank_five_expanded`: Groups in a dim that K and V lack: the product with V has two rows. Not read yet.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,8,63,40],f32>, %arg1: !torch.vtensor<[2,2,63,40],f32>, %arg2: !torch.vtensor<[2,2,63,40],f32>) -> !torch.vtensor<[2,2,4,63,40],f32> {
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,2,4,63,40],f32>
    %str = torch.constant.str "bgmqd,bgkd->bgmqk"
    %2 = torch.prim.ListConstruct %1, %arg1 : (!torch.vtensor<[2,2,4,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %3 = torch.aten.einsum %str, %2, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %4 = torch.aten.softmax.int %3, %int-1, %none : !torch.vtensor<[2,2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,2,4,63,63],f32>
    %str_0 = torch.constant.str "bgmqk,bgkd->bgmqd"
    %5 = torch.prim.ListConstruct %4, %arg2 : (!torch.vtensor<[2,2,4,63,63],f32>, !torch.vtensor<[2,2,63,40],f32>) -> !torch.list<vtensor>
    %6 = torch.aten.einsum %str_0, %5, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,2,4,63,40],f32>
  }
}
