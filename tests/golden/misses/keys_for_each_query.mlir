// Near miss `keys_for_each_query` of `cross_attention`: Every query has keys of its own.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,9,40],f32>, %arg1: !torch.vtensor<[2,4,9,17,40],f32>) -> !torch.vtensor<[2,4,9,40],f32> {
    %str = torch.constant.str "bhqd,bhqkd->bhqk"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,4,9,40],f32>, !torch.vtensor<[2,4,9,17,40],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,9,17],f32>
    %int-1 = torch.constant.int -1
    %2 = torch.aten.softmax.int %1, %int-1, %none : !torch.vtensor<[2,4,9,17],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,9,17],f32>
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %3 = torch.aten.select.int %arg1, %int2, %int0 : !torch.vtensor<[2,4,9,17,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,17,40],f32>
    %4 = torch.aten.matmul %2, %3 : !torch.vtensor<[2,4,9,17],f32>, !torch.vtensor<[2,4,17,40],f32> -> !torch.vtensor<[2,4,9,40],f32>
    return %4 : !torch.vtensor<[2,4,9,40],f32>
  }
}
